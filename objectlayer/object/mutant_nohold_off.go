//go:build !mutant_nohold

package object

const mutantNoHold = false
