package replica

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
)

// TestVoidChange: a change that Raft makes an empty entry is reported as refused, and what was proposed after it goes on.
func TestVoidChange(t *testing.T) {
	m := disktest.NewMemory(2)
	b := m.State().NewBatch()
	d := &metapb.RangeDescriptor{Id: 7, Generation: 1, NextReplica: 2, Replicas: []*metapb.Replica{{Id: 1, Disk: 2}}}
	if err := machine.Bootstrap(b, d, 1); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	r, err := Load(Env{
		Context: t.Context(), Disk: 2, Log: m.Log(), State: m.State(), Logger: slog.New(slog.DiscardHandler),
		Proposer: 99, Snapshots: NewSnapshots(1, 2),
	}, 7)
	if err != nil {
		t.Fatal(err)
	}
	rounds := func() (applied, refused []uint64) {
		for r.HasReady() {
			var a disk.Append
			r.Collect(&a)
			refused = append(refused, r.Refused()...)
			if err := m.Log().Append(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if err := m.Log().Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.Late()
			out, err := r.Apply()
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range out {
				applied = append(applied, o.Sequence)
			}
			r.Advance()
		}
		return applied, refused
	}
	r.Campaign()
	rounds()
	for sequence, c := range []*metapb.Command{
		{Op: &metapb.Command_ChangeReplicas{ChangeReplicas: &metapb.ChangeReplicas{IfGeneration: 1, Add: []uint64{3}}}},
		{Op: &metapb.Command_ChangeReplicas{ChangeReplicas: &metapb.ChangeReplicas{IfGeneration: 1, Add: []uint64{4}}}},
		{Op: &metapb.Command_RaiseFloor{RaiseFloor: new(metapb.RaiseFloor)}},
	} {
		r.changing = false // what should have kept the second change away
		if err := r.Propose(Proposal{Sequence: uint64(sequence), Commands: []*metapb.Command{c}}); err != nil {
			t.Fatal(err)
		}
	}
	applied, refused := rounds()
	if r.Failed() != nil || !slices.Equal(applied, []uint64{0, 2}) || !slices.Equal(refused, []uint64{1}) {
		t.Errorf("applied %v, refused %v, failed: %v", applied, refused, r.Failed())
	}
}
