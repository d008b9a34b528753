//go:build mutant_lullonce

package store

// mutantLullOnce has a follower that missed its leader's going to sleep stay awake for good. TestLostLullaby must catch it.
const mutantLullOnce = true
