//go:build !mutant_outboxasleep

package outbox

const mutantOutboxAsleep = false
