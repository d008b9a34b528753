//go:build mutant_promiseunacked

package promise

// mutantUnacked counts a store's promise for groups whose term it has not acknowledged. TestHistories must catch it.
const mutantUnacked = true
