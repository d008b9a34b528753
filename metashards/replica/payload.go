package replica

import (
	"fmt"

	"github.com/zeebo/xxh3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/metapb"
)

// proposalFormat is the version of metapb.Proposal that this program writes.
const proposalFormat = 1

// payloadLengths appends the lengths of the payloads of a command: of its own, then of a batch's commands, in order.
func payloadLengths(to []uint64, c *metapb.Command) []uint64 {
	if c.GetPayloadLength() > 0 {
		to = append(to, c.PayloadLength)
	}
	for _, s := range c.GetBatch().GetCommands() {
		to = payloadLengths(to, s)
	}
	return to
}

// SplitPayload cuts the bytes that ride beside a command into its payloads, in the order in which they are numbered. It
// is an error if there are more or fewer bytes than the command says.
func SplitPayload(c *metapb.Command, payload []byte) ([][]byte, error) {
	var out [][]byte
	rest := payload
	for _, n := range payloadLengths(nil, c) {
		if n > uint64(len(rest)) {
			return nil, fmt.Errorf("%d bytes of payload, the command speaks of more", len(payload))
		}
		out = append(out, rest[:n:n])
		rest = rest[n:]
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes of payload, the command speaks of %d", len(payload), len(payload)-len(rest))
	}
	return out, nil
}

// Sum is the checksum by which a proposal names a payload.
func Sum(payload []byte) uint64 { return xxh3.Hash(payload) }

// proposalBytes returns the bytes of the proposal in an entry: its data, or what a change of configuration carries along.
// Nil for an entry without one.
func proposalBytes(e *raftpb.Entry) ([]byte, error) {
	switch e.GetType() {
	case raftpb.EntryNormal:
		return e.GetData(), nil
	case raftpb.EntryConfChangeV2:
		c := new(raftpb.ConfChangeV2)
		if err := proto.Unmarshal(e.GetData(), c); err != nil {
			return nil, fmt.Errorf("change of configuration: %w", err)
		}
		return c.GetContext(), nil
	}
	return nil, fmt.Errorf("an entry of type %v, which this program does not know", e.GetType())
}

// proposalIn reads the proposal in an entry, nil if it has none.
func proposalIn(e *raftpb.Entry) (*metapb.Proposal, error) {
	b, err := proposalBytes(e)
	if err != nil || len(b) == 0 {
		return nil, err
	}
	return parseProposal(b)
}

// parseProposal reads the data of an entry and checks that its lists agree.
func parseProposal(data []byte) (*metapb.Proposal, error) {
	p := new(metapb.Proposal)
	if err := p.UnmarshalVT(data); err != nil {
		return nil, fmt.Errorf("proposal: %w", err)
	}
	if p.Format != proposalFormat {
		return nil, fmt.Errorf("proposal of format %d, this program knows %d", p.Format, proposalFormat)
	}
	if len(p.PayloadLengths) != len(p.PayloadSums) {
		return nil, fmt.Errorf("proposal with %d lengths and %d sums of payloads", len(p.PayloadLengths), len(p.PayloadSums))
	}
	var want []uint64
	for _, c := range p.Commands {
		want = payloadLengths(want, c)
	}
	if len(want) != len(p.PayloadLengths) {
		return nil, fmt.Errorf("proposal with %d payloads, its commands have %d", len(p.PayloadLengths), len(want))
	}
	for i, n := range want {
		if p.PayloadLengths[i] != n {
			return nil, fmt.Errorf("payload %d of %d bytes, its command says %d", i, p.PayloadLengths[i], n)
		}
	}
	return p, nil
}

// verifyPayloads checks that payloads are those that p names.
func verifyPayloads(p *metapb.Proposal, payloads [][]byte) error {
	if len(payloads) != len(p.PayloadLengths) {
		return fmt.Errorf("%d payloads, want %d", len(payloads), len(p.PayloadLengths))
	}
	for i, b := range payloads {
		if uint64(len(b)) != p.PayloadLengths[i] {
			return fmt.Errorf("payload %d has %d bytes, want %d", i, len(b), p.PayloadLengths[i])
		}
		if Sum(b) != p.PayloadSums[i] {
			return fmt.Errorf("payload %d fails its checksum", i)
		}
	}
	return nil
}

// payloadID names the n-th payload of an entry.
func payloadID(rangeID, term, index uint64, n int) disk.PayloadID {
	return disk.PayloadID{Range: rangeID, Term: term, Index: index, N: uint32(n)}
}
