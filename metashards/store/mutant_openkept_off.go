//go:build !mutant_openkept

package store

const mutantOpenKept = false
