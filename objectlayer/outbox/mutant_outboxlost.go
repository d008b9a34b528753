//go:build mutant_outboxlost

package outbox

// mutantOutboxLost makes a broken worker: it acknowledges rows without doing what they ask for.
const mutantOutboxLost = true
