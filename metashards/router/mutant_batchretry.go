//go:build mutant_batchretry

package router

// mutantBatchRetry makes a broken router: a command whose outcome is not known is sent again as a new one once its range was split.
const mutantBatchRetry = true
