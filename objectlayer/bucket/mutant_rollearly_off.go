//go:build !mutant_rollearly

package bucket

const mutantRollEarly = false
