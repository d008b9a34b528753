//go:build mutant_listscan

package machine

// mutantListScan makes a broken machine: a page walks through all rows of a common prefix.
const mutantListScan = true
