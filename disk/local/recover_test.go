package local

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/disk/segment"
)

func mustClose(t testing.TB, d *Disk) {
	t.Helper()
	d.t.mu.Lock()
	live := int64(0)
	for _, s := range d.t.segs {
		live += s.live
	}
	if live != d.t.live {
		t.Errorf("%d live bytes in all, the segments hold %d", d.t.live, live)
	}
	d.t.mu.Unlock()
	if err := d.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// crash returns what a power cut now would leave, and closes the disk.
func crash(t testing.TB, d *Disk, fs *disktest.FS) *disktest.FS {
	t.Helper()
	left := fs.Crash(nil)
	mustClose(t, d)
	return left
}

// payloadAt returns the segment file and the place of a payload's record.
func payloadAt(t testing.TB, d *Disk, r, i uint64) (string, place) {
	t.Helper()
	p, ok, err := d.x.payload(d.db, disk.PayloadID{Range: r, Term: 1, Index: i})
	if err != nil || !ok {
		t.Fatalf("payload %d/%d: %v %v", r, i, ok, err)
	}
	return d.t.segs[p.at.Seq].name, p
}

func readPayload(d *Disk, r, i uint64) ([]byte, error) {
	return d.Log().Payload(context.Background(), disk.PayloadID{Range: r, Term: 1, Index: i})
}

// TestRebuild: without its state a disk brings shards and hard states back from the log, and says that Raft is lost.
func TestRebuild(t *testing.T) {
	for _, how := range []string{"lost", "unreadable"} {
		t.Run(how, func(t *testing.T) {
			ctx := context.Background()
			fs := disktest.NewFS(1)
			d := mustOpen(t, testOptions(fs, 1))
			for i := range 20 {
				put(t, d, shard(i), fill(uint64(i), 40<<10+i))
			}
			if err := d.Delete(ctx, shard(3), shard(4), shard(5), shard(6), shard(7), shard(8)); err != nil {
				t.Fatal(err)
			}
			if err := d.Log().Append(ctx, disk.Append{HardStates: []disk.HardState{{Range: 5, Term: 7, Vote: 8, Commit: 9}}}); err != nil {
				t.Fatal(err)
			}
			if err := appendSync(d, entryAppend(5, 1, 100)); err != nil {
				t.Fatal(err)
			}
			for did := true; did; { // lets moved records in
				var err error
				if did, err = d.Compact(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if d.Stats().MovedRecords == 0 {
				t.Error("nothing was moved")
			}
			if d.RaftLost() {
				t.Error("lost from the start")
			}
			mustClose(t, d)
			damageState(t, fs, how)
			for boot := uint64(2); boot < 4; boot++ {
				d = mustOpen(t, testOptions(fs, boot))
				if !d.RaftLost() {
					t.Errorf("boot %d: Raft is not reported lost", boot)
				}
				for i := range 20 {
					if i >= 3 && i <= 8 {
						continue // may come back: a superset
					}
					n := int64(40<<10 + i)
					if b, err := get(d, shard(i), 0, n); err != nil || !bytes.Equal(b, fill(uint64(i), int(n))) {
						t.Errorf("boot %d: shard %d: %v", boot, i, err)
					}
				}
				if h, ok := d.Log().HardState(5); !ok || h != (disk.HardState{Range: 5, Term: 7, Vote: 8, Commit: 9}) {
					t.Errorf("boot %d: hard state %+v %v", boot, h, ok)
				}
				if _, _, ok := d.Log().Bounds(5); ok {
					t.Errorf("boot %d: entries of a lost replica", boot)
				}
				mustClose(t, d)
			}
		})
	}
}

func damageState(t *testing.T, fs *disktest.FS, how string) {
	t.Helper()
	if how == "lost" {
		if err := fs.RemoveAll("d/state"); err != nil {
			t.Fatal(err)
		}
		return
	}
	names, err := fs.List("d/state")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if i, err := fs.Stat("d/state/" + n); err == nil && i.Size() > 0 && len(n) > 8 && n[:8] == "MANIFEST" {
			if err := fs.Corrupt("d/state/"+n, 0, i.Size()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestDamage: what was synced and is unreadable at a restart is reported and answers KindCorrupt; the rest is there.
func TestDamage(t *testing.T) {
	tests := []struct {
		name    string
		off     int64 // into the payload's record
		unknown bool
		payload disk.Kind
	}{
		{"data", segment.RecordHeaderBytes + 40, false, disk.KindCorrupt},
		{"header", 0, true, disk.KindNotFound},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fs := disktest.NewFS(1)
			d := mustOpen(t, testOptions(fs, 1))
			for i := uint64(1); i <= 5; i++ {
				if err := appendSync(d, entryAppend(1, i, 500)); err != nil {
					t.Fatal(err)
				}
			}
			name, p := payloadAt(t, d, 1, 3)
			fs = crash(t, d, fs)
			if err := fs.Corrupt(name, p.at.Off+test.off, 1); err != nil {
				t.Fatal(err)
			}
			for boot := uint64(2); boot < 4; boot++ {
				d = mustOpen(t, testOptions(fs, boot))
				list := d.Damage()
				if len(list) != 1 || list[0].Unknown != test.unknown || list[0].From != p.at {
					t.Fatalf("boot %d: damage %+v", boot, list)
				}
				if !test.unknown && (list[0].Payload == nil || list[0].Payload.Index != 3 || list[0].Range != 1) {
					t.Errorf("damage %+v", list[0])
				}
				if _, err := readPayload(d, 1, 3); !disk.Is(err, test.payload) {
					t.Errorf("payload 3: %v", err)
				}
				for _, i := range []uint64{1, 2, 4, 5} {
					if b, err := readPayload(d, 1, i); err != nil || !bytes.Equal(b, fill(1<<32|i, 500)) {
						t.Errorf("payload %d: %v", i, err)
					}
				}
				if _, last, _ := d.Log().Bounds(1); last != 5 {
					t.Errorf("the log was shortened to %d", last)
				}
				mustClose(t, d)
			}
		})
	}
}

// TestDamagedEntry: an entry whose very header is gone leaves no gap that could be mistaken for the end of the log.
func TestDamagedEntry(t *testing.T) {
	fs := disktest.NewFS(1)
	d := mustOpen(t, testOptions(fs, 1))
	for i := uint64(1); i <= 5; i++ {
		if err := appendSync(d, entryAppend(1, i, 500)); err != nil {
			t.Fatal(err)
		}
	}
	ref := d.x.entries(1, 3, 4)[0]
	name := d.t.segs[ref.seq].name
	fs = crash(t, d, fs)
	if err := fs.Corrupt(name, int64(ref.off), 60); err != nil {
		t.Fatal(err)
	}
	d = mustOpen(t, testOptions(fs, 2))
	if _, err := d.Log().Entries(context.Background(), 1, 3, 6, 1<<20); !disk.Is(err, disk.KindCorrupt) {
		t.Errorf("entries from 3: %v", err)
	}
	if _, err := d.Log().Term(1, 3); !disk.Is(err, disk.KindCorrupt) {
		t.Errorf("term of 3: %v", err)
	}
	if es, err := d.Log().Entries(context.Background(), 1, 1, 6, 1<<20); err != nil || len(es) != 2 {
		t.Errorf("entries from 1: %d %v", len(es), err)
	}
	if es, err := d.Log().Entries(context.Background(), 1, 4, 6, 1<<20); err != nil || len(es) != 2 {
		t.Errorf("entries from 4: %d %v", len(es), err)
	}
	mustClose(t, d)
}

// TestCorruptBlock: rot in a block of a shard is found by the read that meets it, and by Verify; not by others. It is
// the test that a build without checksums does not pass.
func TestCorruptBlock(t *testing.T) {
	ctx := context.Background()
	fs := disktest.NewFS(1)
	d := mustOpen(t, testOptions(fs, 1))
	data := fill(1, 180<<10)
	put(t, d, shard(1), data)
	row, _, err := d.lookShard("test", shard(1))
	if err != nil {
		t.Fatal(err)
	}
	at := row.Runs[0].At
	if err := fs.Corrupt(d.t.segs[at.Seq].name, at.Off+segment.BlockStride+1000, 1); err != nil {
		t.Fatal(err)
	}
	if b, err := get(d, shard(1), 0, disk.BlockBytes); err != nil || !bytes.Equal(b, data[:disk.BlockBytes]) {
		t.Errorf("good block: %v", err)
	}
	if b, err := get(d, shard(1), 0, int64(len(data))); !disk.Is(err, disk.KindCorrupt) || len(b) != disk.BlockBytes {
		t.Errorf("bad block: %d bytes, %v", len(b), err)
	}
	if err := d.Verify(ctx, shard(1)); !disk.Is(err, disk.KindCorrupt) {
		t.Errorf("verify: %v", err)
	}
	if d.Stats().CorruptRecords == 0 {
		t.Error("not counted")
	}
	mustClose(t, d)
}

// TestCutTail: what stands behind the place where a torn tail was cut never comes back, even if a later boot's records
// end exactly where an old one begins.
func TestCutTail(t *testing.T) {
	ctx := context.Background()
	fs := disktest.NewFS(1)
	d := mustOpen(t, testOptions(fs, 1))
	if err := appendSync(d, entryAppend(1, 1, 100)); err != nil {
		t.Fatal(err)
	}
	// One group commit of two payloads. Its sync is not followed by a mark, so damage in it is a torn tail.
	two := disk.Append{Payloads: []disk.Payload{
		{ID: disk.PayloadID{Range: 2, Term: 1, Index: 1}, Data: fill(1, 1000)},
		{ID: disk.PayloadID{Range: 2, Term: 1, Index: 2}, Data: fill(2, 1000)},
	}}
	if err := appendSync(d, two); err != nil {
		t.Fatal(err)
	}
	name, first := payloadAt(t, d, 2, 1)
	_, second := payloadAt(t, d, 2, 2)
	fs = crash(t, d, fs)
	if err := fs.Corrupt(name, first.at.Off, 8); err != nil {
		t.Fatal(err)
	}
	d = mustOpen(t, testOptions(fs, 2))
	if len(d.Damage()) != 0 {
		t.Errorf("a torn tail was taken for damage: %+v", d.Damage())
	}
	for i := uint64(1); i <= 2; i++ {
		if _, err := readPayload(d, 2, i); !disk.Is(err, disk.KindNotFound) {
			t.Errorf("payload %d of the torn tail: %v", i, err)
		}
	}
	// The mark of this boot comes first; with it, the new record fills the room of the torn one.
	fit := disk.Append{Payloads: []disk.Payload{
		{ID: disk.PayloadID{Range: 2, Term: 2, Index: 1}, Data: fill(3, 1000-int(markBytes))},
	}}
	if err := d.Log().Append(ctx, fit); err != nil {
		t.Fatal(err)
	}
	if err := d.Log().Sync(ctx); err != nil {
		t.Fatal(err)
	}
	d.w.mu.Lock()
	if d.w.off != second.at.Off {
		t.Errorf("the new record ends at %d, the old one begins at %d", d.w.off, second.at.Off)
	}
	d.w.mu.Unlock()
	fs = crash(t, d, fs)
	d = mustOpen(t, testOptions(fs, 3))
	if _, err := readPayload(d, 2, 2); !disk.Is(err, disk.KindNotFound) {
		t.Errorf("a record from behind the cut came back: %v", err)
	}
	if _, err := d.Log().Payload(ctx, fit.Payloads[0].ID); err != nil {
		t.Error(err)
	}
	if len(d.Damage()) != 0 {
		t.Errorf("damage %+v", d.Damage())
	}
	mustClose(t, d)
}

// TestOpenRefuses: a boot count that was used, a folder of another disk, a folder of another segment size.
func TestOpenRefuses(t *testing.T) {
	fs := disktest.NewFS(1)
	d := mustOpen(t, testOptions(fs, 5))
	if err := appendSync(d, entryAppend(1, 1, 10)); err != nil {
		t.Fatal(err)
	}
	mustClose(t, d)
	change := map[string]func(o *Options){
		"same boot":     func(o *Options) { o.Boot = 5 },
		"older boot":    func(o *Options) { o.Boot = 4 },
		"other disk":    func(o *Options) { o.ID = 8 },
		"other cluster": func(o *Options) { o.Cluster[0] = 9 },
		"other size":    func(o *Options) { o.SegmentBytes *= 2 },
		"no boot":       func(o *Options) { o.Boot = 0 },
	}
	for name, fn := range change {
		o := testOptions(fs, 6)
		fn(&o)
		if d, err := Open(context.Background(), o); err == nil {
			t.Errorf("%s: opened", name)
			mustClose(t, d)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if d, err := Open(ctx, testOptions(fs, 6)); err == nil {
		t.Error("opened under an ended context")
		mustClose(t, d)
	} else if !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
	d = mustOpen(t, testOptions(fs, 7))
	mustClose(t, d)
}

// TestReplayBound: with housekeeping a restart replays no more than ReplayBytes and a little.
func TestReplayBound(t *testing.T) {
	fs := disktest.NewFS(1)
	o := testOptions(fs, 1)
	o.Manual, o.ReplayBytes = false, 1<<20
	d := mustOpen(t, o)
	for i := uint64(1); i <= 600; i++ {
		if err := appendSync(d, entryAppend(1, i, 10<<10)); err != nil {
			t.Fatal(err)
		}
	}
	for d.Stats().ReplayBytes > o.ReplayBytes+o.SegmentBytes {
		d.wake()
	}
	if d.Stats().Flushes == 0 {
		t.Error("no flush")
	}
	fs = crash(t, d, fs)
	o.FS, o.Boot = fs, 2
	d = mustOpen(t, o)
	if n := d.Stats().Replayed; n > 2*150 {
		t.Errorf("%d records replayed", n)
	}
	if _, last, _ := d.Log().Bounds(1); last != 600 {
		t.Errorf("log ends at %d", last)
	}
	mustClose(t, d)
}
