//go:build mutant_nosync

package local

// mutantNoSync breaks the build on purpose: Sync answers without the sync.
const mutantNoSync = true
