//go:build !mutant_noacquittal

package store

const mutantNoAcquittal = false
