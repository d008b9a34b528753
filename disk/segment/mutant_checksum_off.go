//go:build !mutant_checksum

package segment

const mutantNoChecksum = false
