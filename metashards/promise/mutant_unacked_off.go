//go:build !mutant_promiseunacked

package promise

const mutantUnacked = false
