//go:build !mutant_stranger

package store

const mutantStranger = false
