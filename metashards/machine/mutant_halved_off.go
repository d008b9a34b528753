//go:build !mutant_halved

package machine

const mutantHalved = false
