//go:build mutant_backquiet

package promise

// mutantBackQuiet has a peer that promises again, in the same life, wake no group.
const mutantBackQuiet = true
