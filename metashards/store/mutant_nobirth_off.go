//go:build !mutant_nobirth

package store

const mutantNoBirth = false
