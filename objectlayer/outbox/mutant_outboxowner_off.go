//go:build !mutant_outboxowner

package outbox

const mutantOutboxOwner = false
