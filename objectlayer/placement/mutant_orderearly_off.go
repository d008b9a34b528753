//go:build !mutant_orderearly

package placement

const mutantOrderEarly = false
