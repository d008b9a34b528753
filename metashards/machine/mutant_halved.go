//go:build mutant_halved

package machine

// mutantHalved takes the count of the whole for that of a half after a split.
const mutantHalved = true
