//go:build !mutant_straysets

package placement

const mutantStraySets = false
