//go:build mutant_nofloor

package orphan

// mutantNoFloor makes a broken collector: what has no record now is deleted, though a commit may be on its way.
const mutantNoFloor = true
