//go:build mutant_staleowner

package router

// mutantStaleOwner makes a broken router: what the map says of a position counts, although an answer knew more.
const mutantStaleOwner = true
