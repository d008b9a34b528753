//go:build !mutant_fence

package machine

const mutantFence = false
