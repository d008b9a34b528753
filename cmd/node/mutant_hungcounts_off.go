//go:build !mutant_hungcounts

package node

const mutantHungCounts = false
