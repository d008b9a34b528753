//go:build !mutant_lullonce

package store

const mutantLullOnce = false
