package local

import (
	"encoding/json"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/segment"
)

// Damage is a part of the log that was synced once and could not be read when the log was replayed.
type Damage struct {
	From, To segment.Pos // the bytes concerned
	Kind     segment.Kind
	// Unknown: not even the header could be read. Records of any range and any shard may have stood there; every Raft
	// replica of this disk is suspect.
	Unknown bool            `json:",omitempty"`
	Range   uint64          `json:",omitempty"` // of an entry or a payload
	Index   uint64          `json:",omitempty"` // of an entry or a payload
	Payload *disk.PayloadID `json:",omitempty"`
	Shard   *disk.ShardID   `json:",omitempty"`
}

func parseDamage(b []byte) (m Damage, err error) {
	err = json.Unmarshal(b, &m)
	return m, err
}

// Damage lists what replays of this disk's log found damaged, now and at earlier starts. The damaged things themselves
// answer KindCorrupt.
func (d *Disk) Damage() []Damage {
	d.damageMu.Lock()
	defer d.damageMu.Unlock()
	return slices.Clone(d.damage)
}

// RaftLost reports whether the state of this disk was lost and its index rebuilt from the segments. Then shards and hard
// states are here, but entries, payloads and rows of metadata are not: the Raft replicas on this disk must not go on.
// It stays so over restarts.
func (d *Disk) RaftLost() bool { return d.raftLost.Load() }

// noteDamage logs, counts and keeps a finding of the replay.
func (d *Disk) noteDamage(m Damage) error {
	d.stats.corrupt.Add(1)
	d.o.Logger.Error("log damaged", "disk", d.o.ID.String(), "from", m.From.String(), "to", m.To.String(),
		"kind", int(m.Kind), "range", m.Range, "index", m.Index, "shard", m.Shard)
	d.damageMu.Lock()
	defer d.damageMu.Unlock()
	if slices.ContainsFunc(d.damage, func(x Damage) bool { return x.From == m.From }) {
		return nil
	}
	d.damage = append(d.damage, m)
	v, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return d.db.Set(rowKey(rowDamage, m.From.Seq, uint64(m.From.Off)), v, pebble.NoSync)
}

// describe fills in what a record with damaged data was.
func describe(m *Damage, r *segment.Record) {
	m.Kind = r.Kind
	switch r.Kind {
	case segment.KindBlock:
		if b, err := segment.ParseBlock(r.Meta); err == nil {
			m.Shard = &b.ID
		}
	case segment.KindEntry:
		if e, err := segment.ParseEntry(r.Meta, r.Moved()); err == nil {
			m.Range, m.Index = e.Range, e.Index
		}
	case segment.KindPayload:
		if p, err := segment.ParsePayload(r.Meta, r.Moved()); err == nil {
			m.Range, m.Index, m.Payload = p.ID.Range, p.ID.Index, &p.ID
		}
	}
}
