//go:build !mutant_outboxlost

package outbox

const mutantOutboxLost = false
