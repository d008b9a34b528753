//go:build !mutant_leadersall

package placement

const mutantLeadersAll = false
