//go:build !mutant_nomajority

package store

const mutantNoMajority = false
