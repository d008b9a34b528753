//go:build !mutant_busydoubt

package store

const mutantBusyDoubt = false
