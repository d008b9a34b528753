//go:build mutant_widemixed

package placement

// mutantWideMixed makes a broken placement: groups that were laid for one policy take the bytes of any.
const mutantWideMixed = true
