//go:build !mutant_lease

package store

const mutantLease = false
