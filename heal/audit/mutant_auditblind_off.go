//go:build !mutant_auditblind

package audit

const mutantAuditBlind = false
