//go:build mutant_straysets

package placement

// mutantStraySets lets ranges lie on any disks, whatever copysets there are. TestRangesOnCopysets must catch it.
const mutantStraySets = true
