//go:build !mutant_setback

package node

const mutantSetBack = false
