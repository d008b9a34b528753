//go:build !mutant_joinunbound

package trust

const mutantJoinUnbound = false
