//go:build mutant_dense

package local

// mutantDense: what reads waste on rows that are gone is noted nowhere, so nothing is thinned.
const mutantDense = true
