//go:build !mutant_promiseregained

package promise

const mutantRegained = false
