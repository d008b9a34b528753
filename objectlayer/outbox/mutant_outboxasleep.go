//go:build mutant_outboxasleep

package outbox

// mutantOutboxAsleep makes a broken worker: an outbox that was empty once is never looked at again.
const mutantOutboxAsleep = true
