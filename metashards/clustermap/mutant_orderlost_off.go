//go:build !mutant_orderlost

package clustermap

const mutantOrderLost = false
