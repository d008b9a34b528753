//go:build !mutant_walltime

package store

const mutantWallTime = false
