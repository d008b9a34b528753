//go:build !mutant_promiselapse

package promise

const mutantLapse = false
