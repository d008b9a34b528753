//go:build mutant_joinunbound

package trust

// mutantJoinUnbound breaks the build on purpose: the proofs of a join are not bound to their TLS session.
const mutantJoinUnbound = true
