//go:build mutant_setback

package node

// mutantSetBack believes a disk that was set back to an earlier state.
const mutantSetBack = true
