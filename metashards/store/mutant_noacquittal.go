//go:build mutant_noacquittal

package store

// mutantNoAcquittal has nobody tell a replica that believes that it differs that it does not.
const mutantNoAcquittal = true
