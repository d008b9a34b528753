//go:build mutant_auditblind

package audit

// mutantAuditBlind makes a broken auditor: whatever is missing is there.
const mutantAuditBlind = true
