//go:build mutant_deleteearly

package bucket

// mutantDeleteEarly makes a broken layer: a deletion decides when the first of the bucket's ranges is frozen and empty.
const mutantDeleteEarly = true
