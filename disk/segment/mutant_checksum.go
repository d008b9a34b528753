//go:build mutant_checksum

package segment

// mutantNoChecksum breaks the build on purpose: records are taken as they come.
const mutantNoChecksum = true
