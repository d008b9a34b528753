//go:build !mutant_remakeforgets

package replica

const mutantRemakeForgets = false
