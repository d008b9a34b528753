//go:build !mutant_openlease

package store

const mutantOpenLease = false
