package stripe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/placement"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	unit       = disk.BlockBytes
	chunkBytes = 4 * unit // smaller than usual: what needs several chunks is tested faster
)

// rig is a cluster of disks in memory with a Store over it.
type rig struct {
	t     testing.TB
	store *Store
	m     *clustermap.Map
	disks map[disk.ID]*disktest.Memory

	mu      sync.Mutex
	dead    map[disk.ID]bool
	reports []objectlayer.Damage
	blobs   uint64
}

func (r *rig) Map() *clustermap.Map     { return r.m }
func (r *rig) Changed() <-chan struct{} { return nil }

func (r *rig) Report(d objectlayer.Damage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reports = append(r.reports, d)
}

func (r *rig) Disk(id disk.ID) (disk.Store, error) {
	if d := r.disks[id]; d != nil {
		return d, nil
	}
	return nil, disk.Errorf("find", disk.KindNotFound, id.String(), nil)
}

func (r *rig) alive(id disk.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.dead[id]
}

func (r *rig) kill(ids ...disk.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		r.dead[id] = true
	}
}

// newRig returns n disks with groups of a coding, and a Store with extents of so many stripes.
func newRig(t testing.TB, n int, c placement.Coding, stripes int64) *rig {
	t.Helper()
	r := &rig{t: t, disks: map[disk.ID]*disktest.Memory{}, dead: map[disk.ID]bool{}}
	r.m = &clustermap.Map{Format: clustermap.Format, Policy: "auto", Nodes: []clustermap.Node{{ID: 1}}}
	for i := range n {
		id := disk.ID(i + 1)
		r.disks[id] = disktest.NewMemory(id)
		r.m.Disks = append(r.m.Disks, clustermap.Disk{ID: id, Node: 1, Device: "d", CapacityBytes: 1})
	}
	groups, err := placement.Build(r.m, placement.BuildOptions{
		Policy: placement.Fixed(c), SlotsPerDisk: 10, Rand: rand.New(rand.NewPCG(1, 1)),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.m.Groups = groups
	r.store, err = New(Options{Fleet: r, Topology: r, Alive: r.alive, ExtentBytes: stripes * unit * int64(c.K), Damage: r})
	if err != nil {
		t.Fatal(err)
	}
	r.store.codecs.chunk = chunkBytes
	return r
}

func (r *rig) request() Request {
	r.blobs++
	return Request{Blob: disk.NewBlobID(r.blobs, [10]byte{1}), Size: -1, Owner: &metapb.ShardOwner{Bucket: 7, Key: []byte("key")}}
}

func (r *rig) write(data []byte) *metapb.Blob {
	r.t.Helper()
	b, err := r.store.Write(context.Background(), r.request(), bytes.NewReader(data))
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r *rig) read(b *metapb.Blob, off, n int64) ([]byte, error) {
	rc, err := r.store.Open(context.Background(), b, off, n)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return io.ReadAll(rc)
}

// check reads a blob in full and verifies that all its shards are there and that no memory is held.
func (r *rig) check(b *metapb.Blob, data []byte) {
	r.t.Helper()
	got, err := r.read(b, 0, int64(len(data)))
	if err != nil || !bytes.Equal(got, data) {
		r.t.Fatalf("%d bytes back of %d, %v", len(got), len(data), err)
	}
	if want := len(shardsOf(r.m, b)); r.shards() != want {
		r.t.Fatalf("%d shards lie on the disks, the blob has %d", r.shards(), want)
	}
	r.idle()
}

// idle verifies that no memory is held.
func (r *rig) idle() {
	r.t.Helper()
	if n := r.store.BufferBytes(); n != 0 {
		r.t.Fatalf("%d bytes of buffers are still in use", n)
	}
}

// shards counts the shards on all disks.
func (r *rig) shards() (n int) {
	for _, d := range r.disks {
		for _, g := range r.m.Groups {
			err := d.List(context.Background(), g.ID, disk.ShardID{}, func(disk.ShardInfo) error { n++; return nil })
			if err != nil && !disk.Is(err, disk.KindFenced) {
				r.t.Fatal(err)
			}
		}
	}
	return n
}

type place struct {
	disk  disk.ID
	shard disk.ShardID
}

// shardsOf lists where the shards of a blob lie, extent by extent.
func shardsOf(m *clustermap.Map, b *metapb.Blob) (out []place) {
	for _, e := range b.Extents {
		for _, slot := range e.Slots {
			out = append(out, place{
				m.Group(disk.GroupID(e.Group)).Slots[slot].Owner,
				disk.ShardID{Group: disk.GroupID(e.Group), Blob: disk.BlobID(b.Id), Extent: e.Number, Slot: slot},
			})
		}
	}
	return out
}

// noise is random bytes; tests take slices of it.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

var codings = []placement.Coding{{K: 1, M: 0}, {K: 1, M: 1}, {K: 1, M: 2}, {K: 2, M: 0}, {K: 2, M: 1}, {K: 2, M: 2}, {K: 3, M: 2}, {K: 4, M: 2}, {K: 8, M: 3}}

func TestRoundTrip(t *testing.T) {
	data := noise(5 << 20)
	for _, c := range codings {
		t.Run(c.String(), func(t *testing.T) {
			r := newRig(t, c.K+c.M+1, c, 3)
			rng := rand.New(rand.NewPCG(3, uint64(c.K)))
			stripe := unit * c.K
			sizes := []int{0, 1, 2, c.K, c.K + 1, unit - 1, unit, unit + 1, stripe - 1, stripe, stripe + 1, 2 * stripe, 3*stripe - 1, 3 * stripe, 3*stripe + 1, 7*stripe + 5}
			for range disktest.Seeds(10) {
				sizes = append(sizes, rng.IntN(8*stripe))
			}
			for _, size := range sizes {
				size = min(size, len(data))
				at := rng.IntN(len(data) - size + 1)
				want := data[at : at+size]
				q := r.request()
				if rng.IntN(2) == 0 {
					q.Size = int64(size)
				}
				var hashed bytes.Buffer
				q.Hashes = []io.Writer{&hashed}
				finished := 0
				q.Finish = func() error {
					finished++
					if hashed.Len() != size {
						t.Errorf("finish after %d of %d bytes", hashed.Len(), size)
					}
					return nil
				}
				b, err := r.store.Write(t.Context(), q, &chunky{bytes.NewReader(want), rng})
				if err != nil {
					t.Fatalf("%d bytes: %v", size, err)
				}
				if b.Length != uint64(size) || !bytes.Equal(hashed.Bytes(), want) || finished != 1 {
					t.Fatalf("%d bytes: length %d, %d hashed, %d times finished", size, b.Length, hashed.Len(), finished)
				}
				r.check(b, want)
				for range disktest.Seeds(6) {
					off := rng.IntN(size + 1)
					n := rng.IntN(size - off + 1)
					got, err := r.read(b, int64(off), int64(n))
					if err != nil || !bytes.Equal(got, want[off:off+n]) {
						t.Fatalf("%d bytes from %d of %d: %v", n, off, size, err)
					}
				}
				if err := r.store.Drop(t.Context(), b); err != nil || r.shards() != 0 {
					t.Fatalf("%d shards are left, %v", r.shards(), err)
				}
			}
		})
	}
}

// chunky reads in pieces of any size and sometimes gives the end together with the last bytes.
type chunky struct {
	r   *bytes.Reader
	rng *rand.Rand
}

func (c *chunky) Read(p []byte) (int, error) {
	n, err := c.r.Read(p[:min(len(p), 1+c.rng.IntN(100_000))])
	if err == nil && c.r.Len() == 0 && c.rng.IntN(2) == 0 {
		err = io.EOF
	}
	return n, err
}

func TestRecord(t *testing.T) {
	r := newRig(t, 4, placement.Coding{K: 2, M: 1}, 2)
	data := noise(5*unit + 7)
	b := r.write(data)
	if len(b.Extents) != 2 || b.Extents[0].Length != 4*unit || b.Extents[1].Length != unit+7 {
		t.Fatalf("%v", b)
	}
	for i, p := range shardsOf(r.m, b) {
		info, err := r.disks[p.disk].Info(t.Context(), p.shard)
		if err != nil {
			t.Fatal(err)
		}
		var o metapb.ShardOwner
		if err := o.UnmarshalVT(info.Owner); err != nil {
			t.Fatal(err)
		}
		e := b.Extents[i/3]
		if o.Bucket != 7 || string(o.Key) != "key" || o.Format != 1 || !bytes.Equal(o.Blob, b.Id) || !proto.Equal(o.Extent, e) || o.Offset != uint64(i/3*4*unit) {
			t.Errorf("shard %d: owner %v", i, &o)
		}
		if want := []int64{2 * unit, (unit + 8) / 2}[i/3]; info.Length != want || info.Epoch != 1 {
			t.Errorf("shard %d: %d bytes of epoch %d, want %d", i, info.Length, info.Epoch, want)
		}
	}
}

func TestOpenParts(t *testing.T) {
	r := newRig(t, 4, placement.Coding{K: 2, M: 1}, 2)
	data := noise(12 * unit)
	var parts []*metapb.Blob
	for _, cut := range [][2]int{{0, 5 * unit}, {5 * unit, 5 * unit}, {5 * unit, 5*unit + 3}, {5*unit + 3, 12 * unit}} {
		parts = append(parts, r.write(data[cut[0]:cut[1]]))
	}
	rng := rand.New(rand.NewPCG(5, 5))
	for i := range 60 {
		off := rng.IntN(len(data) + 1)
		n := rng.IntN(len(data) - off + 1)
		if i == 0 {
			off, n = 0, len(data)
		}
		rc, err := r.store.OpenParts(t.Context(), parts, int64(off), int64(n))
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if i%2 == 0 {
			_, err = rc.(io.WriterTo).WriteTo(&got)
		} else {
			_, err = io.Copy(&got, struct{ io.Reader }{rc})
		}
		rc.Close()
		if err != nil || !bytes.Equal(got.Bytes(), data[off:off+n]) {
			t.Fatalf("%d bytes from %d: %d came, %v", n, off, got.Len(), err)
		}
		r.idle()
	}
	for _, bad := range [][2]int64{{-1, 1}, {0, -1}, {0, 12*unit + 1}, {12*unit + 1, 0}, {1, 1<<63 - 1}} {
		if _, err := r.store.OpenParts(t.Context(), parts, bad[0], bad[1]); objectlayer.KindOf(err) != objectlayer.KindInvalidRange {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestReadOnlyWhatIsNeeded(t *testing.T) {
	r := newRig(t, 6, placement.Coding{K: 4, M: 2}, 4)
	data := noise(16 * unit)
	b := r.write(data)
	var mu sync.Mutex
	gets := 0
	for _, d := range r.disks {
		d.SetHook(func(_ context.Context, op string) error {
			mu.Lock()
			defer mu.Unlock()
			if op == "get" {
				gets++
			}
			return nil
		})
	}
	for _, c := range []struct{ off, n, want int64 }{{unit, 10, 1}, {unit - 1, 2, 2}, {0, 16 * unit, 4}, {3 * unit, 2 * unit, 2}, {4 * unit, 0, 0}} {
		gets = 0
		if got, err := r.read(b, c.off, c.n); err != nil || !bytes.Equal(got, data[c.off:c.off+c.n]) {
			t.Fatal(err)
		}
		if int64(gets) != c.want {
			t.Errorf("%d bytes from %d: %d shards were opened, want %d", c.n, c.off, gets, c.want)
		}
	}
}

func TestCloseEarly(t *testing.T) {
	r := newRig(t, 4, placement.Coding{K: 2, M: 1}, 20)
	data := noise(60 * unit)
	b := r.write(data)
	for _, n := range []int{0, 1, unit, 30 * unit, 59 * unit} {
		rc, err := r.store.Open(t.Context(), b, 0, int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, n)
		if _, err := io.ReadFull(rc, got); err != nil || !bytes.Equal(got, data[:n]) {
			t.Fatal(err)
		}
		rc.Close()
		rc.Close()
		if _, err := rc.Read(make([]byte, 1)); err == nil {
			t.Fatal("a closed reader reads")
		}
		r.idle()
	}
	ctx, cancel := context.WithCancel(t.Context())
	rc, err := r.store.Open(ctx, b, 0, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if got, err := io.ReadAll(rc); err == nil || !bytes.Equal(got, data[:len(got)]) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	rc.Close()
	r.idle()
}

func TestDrop(t *testing.T) {
	r := newRig(t, 4, placement.Coding{K: 2, M: 1}, 2)
	one, two := r.write(noise(9*unit)), r.write(noise(3*unit))
	r.kill(1, 2, 3, 4) // what is only thought dead, or is full, is asked nevertheless
	r.disks[2].Fence(errors.New("gone"))
	err := r.store.Drop(t.Context(), one, two)
	var absent *AbsentError
	if !errors.As(err, &absent) || !slices.Equal(absent.Disks, []disk.ID{2}) || objectlayer.KindOf(err) != objectlayer.KindUnavailable {
		t.Fatalf("%v", err)
	}
	if r.shards() != 0 {
		t.Fatal("the other disks kept shards")
	}
	r.disks[3].SetHook(func(_ context.Context, op string) error { return fmt.Errorf("broken") })
	if err := r.store.Drop(t.Context(), one); !errors.As(err, &absent) || !slices.Equal(absent.Disks, []disk.ID{2, 3}) {
		t.Fatalf("%v", err)
	}
	r.disks[3].SetHook(nil)
	r.m = r.m.Clone()
	r.m.Disks = slices.DeleteFunc(r.m.Disks, func(d clustermap.Disk) bool { return d.ID == 2 })
	if err := r.store.Drop(t.Context(), one, two); err != nil {
		t.Fatalf("the disk is not listed any more: %v", err)
	}
	bad := two.CloneVT()
	bad.Extents[0].Group = 1 << 20
	if err := r.store.Drop(t.Context(), bad); objectlayer.KindOf(err) != objectlayer.KindUnavailable {
		t.Fatalf("%v", err)
	}
}

func TestNonsense(t *testing.T) {
	r := newRig(t, 4, placement.Coding{K: 2, M: 1}, 2)
	good := r.write(noise(9))
	for name, change := range map[string]func(*metapb.Blob){
		"id":          func(b *metapb.Blob) { b.Id = b.Id[1:] },
		"codec":       func(b *metapb.Blob) { b.Extents[0].Coding.Codec = 2 },
		"k":           func(b *metapb.Blob) { b.Extents[0].Coding.K = 0 },
		"slots":       func(b *metapb.Blob) { b.Extents[0].Slots = b.Extents[0].Slots[1:] },
		"slot":        func(b *metapb.Blob) { b.Extents[0].Slots[0] = 99 },
		"unit":        func(b *metapb.Blob) { b.Extents[0].Coding.UnitBytes = 0 },
		"no coding":   func(b *metapb.Blob) { b.Extents[0].Coding = nil },
		"no extent":   func(b *metapb.Blob) { b.Extents = nil },
		"long length": func(b *metapb.Blob) { b.Length = 11; b.Extents[0].Length = 11 },
	} {
		b := good.CloneVT()
		change(b)
		if got, err := r.read(b, 0, int64(b.Length)); objectlayer.KindOf(err) != objectlayer.KindDamaged {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		r.idle()
	}
}
