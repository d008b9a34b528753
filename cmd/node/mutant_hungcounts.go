//go:build mutant_hungcounts

package node

// mutantHungCounts makes a broken node: a disk whose writes hang counts as any other.
const mutantHungCounts = true
