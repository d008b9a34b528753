//go:build !mutant_dense

package local

const mutantDense = false
