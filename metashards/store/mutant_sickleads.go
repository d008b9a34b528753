//go:build mutant_sickleads

package store

// mutantSickLeads has a store whose clock is far off go on leading.
const mutantSickLeads = true
