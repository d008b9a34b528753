//go:build mutant_ackbeforequorum

package store

import "github.com/contender/contender/metashards/metapb"

// mutantAckBeforeQuorum breaks the first law: a leader answers once its own disk has a command, before a majority has it.
// simtest's TestHistories must catch it.
const mutantAckBeforeQuorum = true

// unconfirmed invents the results of plain puts, which can't be refused; nil if there are other commands.
func unconfirmed(proposals []*Proposal) (out []*metapb.Result) {
	for _, p := range proposals {
		if put := p.Command.GetPut(); put == nil || put.GetCondition().GetIfAbsent() {
			return nil
		}
		out = append(out, &metapb.Result{Version: p.Command.GetPut().GetVersion()})
	}
	return out
}
