//go:build mutant_unmounted

package node

// mutantUnmounted takes a folder that is not mounted for a blank one.
const mutantUnmounted = true
