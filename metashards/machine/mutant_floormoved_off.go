//go:build !mutant_floormoved

package machine

const mutantFloorMoved = false
