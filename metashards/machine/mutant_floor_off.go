//go:build !mutant_floor

package machine

const mutantFloor = false
