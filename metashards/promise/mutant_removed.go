//go:build mutant_promiseremoved

package promise

// mutantRemoved counts what a replica has acknowledged for the next one on its store, after it was removed.
// TestReturnedMember must catch it.
const mutantRemoved = true
