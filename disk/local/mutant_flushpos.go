//go:build mutant_flushpos

package local

// mutantFlushPos breaks the build on purpose: a segment is used again before the flush behind its emptiness.
const mutantFlushPos = true
