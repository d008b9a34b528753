//go:build mutant_orderearly

package placement

// mutantOrderEarly lets a new replica vote by order before it has caught up. TestMoveReplica must catch it.
const mutantOrderEarly = true
