//go:build mutant_orderlost

package clustermap

// mutantOrderLost loses the order of a range when the range is shown anew. TestShowRange must catch it.
const mutantOrderLost = true
