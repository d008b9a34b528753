//go:build !mutant_nofloor

package orphan

const mutantNoFloor = false
