//go:build !mutant_backquiet

package promise

const mutantBackQuiet = false
