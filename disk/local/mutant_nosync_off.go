//go:build !mutant_nosync

package local

const mutantNoSync = false
