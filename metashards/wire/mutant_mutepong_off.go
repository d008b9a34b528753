//go:build !mutant_mutepong

package wire

const mutantMutePong = false
