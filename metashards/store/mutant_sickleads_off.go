//go:build !mutant_sickleads

package store

const mutantSickLeads = false
