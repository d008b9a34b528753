//go:build !mutant_promiseremoved

package promise

const mutantRemoved = false
