//go:build mutant_oldview

package store

// mutantOldView has reads share a snapshot from before what was applied since.
const mutantOldView = true
