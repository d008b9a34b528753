//go:build mutant_openlease

package store

// mutantOpenLease reads from a view that is open without a look at the lease.
const mutantOpenLease = true
