//go:build !mutant_promiselate

package promise

const mutantLate = false
