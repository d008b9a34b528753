//go:build mutant_promisequiet

package promise

// mutantQuiet has a restarted store vote and campaign at once. TestHistories must catch it.
const mutantQuiet = true
