//go:build !mutant_stalereads

package store

const mutantStaleReads = false
