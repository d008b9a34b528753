//go:build !mutant_promisequiet

package promise

const mutantQuiet = false
