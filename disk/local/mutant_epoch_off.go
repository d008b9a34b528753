//go:build !mutant_epoch

package local

const mutantEpoch = false
