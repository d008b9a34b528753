//go:build mutant_rollearly

package bucket

// mutantRollEarly makes a broken layer: a change is acknowledged when the first of the bucket's ranges has taken it.
const mutantRollEarly = true
