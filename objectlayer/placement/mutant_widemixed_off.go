//go:build !mutant_widemixed

package placement

const mutantWideMixed = false
