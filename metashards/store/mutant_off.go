//go:build !mutant_ackbeforequorum

package store

import "github.com/contender/contender/metashards/metapb"

// mutantAckBeforeQuorum is true only in a build that is broken on purpose: see mutant_ackbeforequorum.go.
const mutantAckBeforeQuorum = false

// unconfirmed is never called in a sound build.
func unconfirmed([]*Proposal) []*metapb.Result { return nil }
