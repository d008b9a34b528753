//go:build mutant_epoch

package local

// mutantEpoch makes a broken disk: it takes shards of writers that know an older membership of a group.
const mutantEpoch = true
