//go:build mutant_openkept

package store

// mutantOpenKept leaves a view open to readers that does not show what is applied next.
const mutantOpenKept = true
