package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/heal/audit"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/objecttest"
)

const name = "bucket"

type rig struct {
	*objecttest.Layer
	t *testing.T
	a *audit.Auditor
}

// newRig is a layer whose data lies in two ranges, with an auditor, for a synctest bubble.
func newRig(t *testing.T) *rig {
	t.Helper()
	l := objecttest.New(t, objecttest.Options{ExtentBytes: 1 << 20, PartBytesMin: 1, Cuts: [][]byte{keys.Position(1, []byte("m"))}})
	l.Meta.SetDeleteDelay(time.Millisecond)
	if _, err := l.Buckets.Create(t.Context(), objectlayer.Bucket{Name: name}); err != nil {
		t.Fatal(err)
	}
	a, err := audit.New(audit.Options{
		Store: l.Meta, Topology: l.Topology, Fleet: l.Fleet(), Rate: 10_000, Now: time.Now,
		Led: func() []audit.Position { return []audit.Position{{Bucket: 1}, {Bucket: 1, Key: []byte("m")}} },
	})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{l, t, a}
}

func (r *rig) put(key string, n int) {
	r.t.Helper()
	q := objectlayer.PutRequest{Bucket: name, Key: key, Size: int64(n)}
	if _, err := r.Objects.Put(r.t.Context(), q, bytes.NewReader(make([]byte, n))); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) pass(want audit.Result) {
	r.t.Helper()
	if got, err := r.a.Pass(r.t.Context()); err != nil || got != want {
		r.t.Errorf("found %+v, %v; want %+v", got, err, want)
	}
}

// shards returns where the shards of an object's first extent lie.
func (r *rig) shards(key string) (disks []disk.ID, ids []disk.ShardID) {
	r.t.Helper()
	a, _, err := r.Resolver.Query(r.t.Context(), "get", name, key, &metapb.Query{Op: &metapb.Query_Get{Get: &metapb.GetVersion{}}})
	if err != nil {
		r.t.Fatal(err)
	}
	b := a.Version.GetBlob()
	e := b.Extents[0]
	g := r.Topology.Map().Group(disk.GroupID(e.Group))
	for _, slot := range e.Slots {
		disks = append(disks, g.Slots[slot].Owner)
		ids = append(ids, disk.ShardID{Group: g.ID, Blob: disk.BlobID(b.Id), Extent: e.Number, Slot: slot})
	}
	return disks, ids
}

// TestAudit: all that is named is looked for, whatever form its row has; a shard that is gone is found, and an extent that is lost; a disk
// that does not answer is no proof.
//
// Caught mutant: auditblind.
func TestAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		extents := int64(0)
		for i := range 230 { // three pages
			r.put(fmt.Sprintf("a%03d", i), 300_000)
			r.put(fmt.Sprintf("small%03d", i), 100) // in no extent
			extents++
		}
		r.put("z", 3<<20)
		extents += 3
		u, err := r.Uploads.Create(t.Context(), objectlayer.UploadRequest{Bucket: name, Key: "n"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			q := objectlayer.PartRequest{Bucket: name, Key: "n", UploadID: u.ID, Number: i + 1, Size: 100_000}
			if _, err := r.Uploads.PutPart(t.Context(), q, bytes.NewReader(make([]byte, 100_000))); err != nil {
				t.Fatal(err)
			}
			extents++
		}
		r.pass(audit.Result{Extents: extents})

		disks, ids := r.shards("a100")
		lose := func(i int) {
			t.Helper()
			if err := r.Disks[disks[i]-1].Delete(t.Context(), ids[i]); err != nil {
				t.Fatal(err)
			}
		}
		lose(0)
		r.pass(audit.Result{Extents: extents, Short: 1})
		lose(1)
		r.pass(audit.Result{Extents: extents, Short: 1, Lost: 1})
		if short, lost, ended := r.a.Found(); short != 1 || lost != 1 || ended.IsZero() {
			t.Errorf("%d short, %d lost, ended %v", short, lost, ended)
		}
		away := r.Disks[disks[0]-1]
		away.SetHook(func(_ context.Context, op string) error {
			return disk.Errorf(op, disk.KindFenced, "", errors.New("away"))
		})
		got, err := r.a.Pass(t.Context())
		if err != nil || got.Short != 1 || got.Lost != 0 || got.Unclear == 0 {
			t.Errorf("with a disk away: %+v, %v", got, err)
		}
	})
}

// TestAuditOfWhatGoes: an object that is deleted while its shards are looked for is not missed.
func TestAuditOfWhatGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.put("goes", 300_000)
		r.put("stays", 300_000)
		disks, _ := r.shards("goes")
		gone := false
		r.Disks[disks[0]-1].SetHook(func(_ context.Context, op string) error {
			if op == "info" && !gone {
				gone = true
				if _, err := r.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: name, Key: "goes"}); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
				r.EmptyOutbox(t, nil)
			}
			return nil
		})
		r.pass(audit.Result{Extents: 1})
		if !gone {
			t.Error("the object was not deleted in between")
		}
	})
}
