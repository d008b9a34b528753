//go:build !mutant_deleteearly

package bucket

const mutantDeleteEarly = false
