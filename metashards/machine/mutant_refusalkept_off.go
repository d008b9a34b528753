//go:build !mutant_refusalkept

package machine

const mutantRefusalKept = false
