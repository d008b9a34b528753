//go:build mutant_nomajority

package store

// mutantNoMajority has a replica remade that differs from whoever told its sum first, though most do not agree.
const mutantNoMajority = true
