//go:build mutant_leadersall

package placement

// mutantLeadersAll hands over all that a disk leads above the mean at once, to whoever leads least. TestLeadersDoNotStampede
// must catch it.
const mutantLeadersAll = true
