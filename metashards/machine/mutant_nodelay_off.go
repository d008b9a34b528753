//go:build !mutant_nodelay

package machine

const mutantNoDelay = false
