//go:build mutant_fence

package machine

// mutantFence makes a broken machine: the buckets' fences are ignored.
const mutantFence = true
