//go:build !mutant_oldview

package store

const mutantOldView = false
