//go:build mutant_stalemap

package node

// mutantStaleMap lets an older map take the place of a newer one, whose changes may have been dropped. TestMapChanges must
// catch it.
const mutantStaleMap = true
