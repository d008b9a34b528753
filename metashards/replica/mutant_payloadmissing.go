//go:build mutant_payloadmissing

package replica

// mutantPayloadMissing has a follower take appends whose payloads did not come. TestAppendNeedsItsPayloads must catch it.
const mutantPayloadMissing = true
