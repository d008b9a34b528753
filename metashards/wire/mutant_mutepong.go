//go:build mutant_mutepong

package wire

// mutantMutePong answers pings without telling how this node is.
const mutantMutePong = true
