//go:build !mutant_flushpos

package local

const mutantFlushPos = false
