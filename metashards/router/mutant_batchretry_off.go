//go:build !mutant_batchretry

package router

const mutantBatchRetry = false
