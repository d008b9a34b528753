//go:build mutant_dedupe

package machine

// mutantDedupe makes a broken machine: a retry is not known as one.
const mutantDedupe = true
