//go:build mutant_walltime

package store

// mutantWallTime has range time follow the wall clock of a leader, whatever steps that makes.
const mutantWallTime = true
