//go:build mutant_outboxowner

package outbox

// mutantOutboxOwner makes a broken worker: it acknowledges rows in the range that was read, whoever owns them now.
const mutantOutboxOwner = true
