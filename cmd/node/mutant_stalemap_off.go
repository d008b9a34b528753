//go:build !mutant_stalemap

package node

const mutantStaleMap = false
