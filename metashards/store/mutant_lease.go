//go:build mutant_lease

package store

// mutantLease makes a broken store: a leader that has once led answers reads whatever became of the promises.
const mutantLease = true
