//go:build !mutant_unmounted

package node

const mutantUnmounted = false
