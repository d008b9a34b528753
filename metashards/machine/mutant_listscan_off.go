//go:build !mutant_listscan

package machine

const mutantListScan = false
