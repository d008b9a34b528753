//go:build !mutant_staleowner

package router

const mutantStaleOwner = false
