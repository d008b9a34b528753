//go:build !mutant_payloadmissing

package replica

const mutantPayloadMissing = false
