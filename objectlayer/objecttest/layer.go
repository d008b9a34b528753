package objecttest

import (
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/bucket"
	"github.com/contender/contender/objectlayer/compress"
	"github.com/contender/contender/objectlayer/listing"
	"github.com/contender/contender/objectlayer/multipart"
	"github.com/contender/contender/objectlayer/object"
	"github.com/contender/contender/objectlayer/outbox"
	"github.com/contender/contender/objectlayer/placement"
	"github.com/contender/contender/objectlayer/stripe"
)

// Options say how a Layer is to be made. The zero Options are fit for most tests.
type Options struct {
	Disks        int              // 0: 4
	Clock        func() time.Time // nil: time.Now
	Random       io.Reader        // nil: seeded, the same in each run
	InlineBytes  int              // 0: the product's
	UnitBytes    int              // 0: the product's
	ExtentBytes  int64            // 0: the product's
	PartBytesMin int64            // 0: the product's
	Cuts         [][]byte         // positions where the range of data is cut
}

// Layer is the object layer with what it stands on: the real rooms over the real machine and real stripes, all in
// memory, without Raft.
type Layer struct {
	Objects  objectlayer.Objects
	Uploads  objectlayer.Uploads
	Listings objectlayer.Listings
	Buckets  objectlayer.Buckets

	Resolver *bucket.Resolver
	Meta     *Store
	Bytes    *stripe.Store
	Packed   *compress.Store // the same, as the layer uses it
	Topology *Topology
	Disks    []*disktest.Memory // ids from 1

	o Options
}

// NewMemory returns an empty layer of the zero Options.
func NewMemory(t testing.TB) *Layer {
	t.Helper()
	return New(t, Options{})
}

// New returns an empty layer.
func New(t testing.TB, o Options) *Layer {
	t.Helper()
	if o.Disks == 0 {
		o.Disks = 4
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Random == nil {
		o.Random = rand.NewChaCha8([32]byte{1})
	}
	l := &Layer{Meta: NewStore(t, o.Clock, o.Cuts...), Topology: &Topology{m: newMap(t, o.Disks)}}
	for i := range o.Disks {
		l.Disks = append(l.Disks, disktest.NewMemory(disk.ID(i+1)))
	}
	var err error
	l.Bytes, err = stripe.New(stripe.Options{
		Fleet: fleet(l.Disks), Topology: l.Topology, UnitBytes: o.UnitBytes, ExtentBytes: o.ExtentBytes,
	})
	if err != nil {
		t.Fatal(err)
	}
	if l.Packed, err = compress.New(l.Bytes); err != nil {
		t.Fatal(err)
	}
	l.o = o
	l.rooms(o.Random)
	return l
}

// rooms makes the rooms anew, with nothing remembered.
func (l *Layer) rooms(random io.Reader) {
	l.Resolver = bucket.NewResolver(l.Meta, l.o.Clock, random)
	l.Buckets = bucket.New(l.Resolver, nil)
	l.Listings = listing.New(l.Resolver)
	l.Objects = object.New(object.Options{Buckets: l.Resolver, Bytes: l.Packed, InlineBytes: l.o.InlineBytes})
	l.Uploads = multipart.New(multipart.Options{
		Buckets: l.Resolver, Bytes: l.Packed, Objects: l.Objects, PartBytesMin: l.o.PartBytesMin,
	})
}

// Peer returns a second layer over the same metadata and disks, with nothing remembered: another node. Its random
// source must differ from the first one's.
func (l *Layer) Peer(random io.Reader) *Layer {
	p := *l
	p.rooms(random)
	return &p
}

// Shards returns how many shards lie on the disks.
func (l *Layer) Shards(t testing.TB) (n int) {
	t.Helper()
	for _, g := range l.Topology.m.Groups {
		for _, d := range l.Disks {
			err := d.List(t.Context(), g.ID, disk.ShardID{}, func(disk.ShardInfo) error {
				n++
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return n
}

type fleet []*disktest.Memory

func (f fleet) Disk(id disk.ID) (disk.Store, error) {
	if id < 1 || int(id) > len(f) {
		return nil, disk.Errorf("find", disk.KindNotFound, id.String(), nil)
	}
	d := f[id-1]
	if d.Err() != nil {
		return nil, disk.Errorf("find", disk.KindFenced, id.String(), d.Err())
	}
	return d, nil
}

// Topology is a metashards.Topology of a map that stays.
type Topology struct{ m *clustermap.Map }

// Map returns the map.
func (t *Topology) Map() *clustermap.Map { return t.m }

// Changed returns a channel that is never closed.
func (t *Topology) Changed() <-chan struct{} { return nil }

// newMap returns a map of one node with disks in folders of one device.
func newMap(t testing.TB, disks int) *clustermap.Map {
	t.Helper()
	m := &clustermap.Map{
		Format: clustermap.Format, Revision: 1, Region: "us-east-1",
		Nodes: []clustermap.Node{{ID: 1, Name: "test"}},
	}
	for i := range disks {
		m.Disks = append(m.Disks, clustermap.Disk{
			ID: disk.ID(i + 1), Node: 1, Path: string(rune('a' + i)), Device: "memory", CapacityBytes: 1 << 40,
		})
	}
	var err error
	m.Groups, err = placement.Build(m, placement.BuildOptions{SlotsPerDisk: 12, Rand: rand.New(rand.NewPCG(1, 2))}) //nolint:gosec // a test
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Fleet returns the disks as the layer finds them.
func (l *Layer) Fleet() disk.Fleet { return fleet(l.Disks) }

// EmptyOutbox does what is due in the outbox of the first bucket's first range. alive says which disks answer; nil: all do.
func (l *Layer) EmptyOutbox(t testing.TB, alive func(disk.ID) bool) {
	t.Helper()
	w := outbox.New(outbox.Options{
		Store: l.Meta, Bytes: l.Bytes, Now: l.o.Clock, Alive: alive,
		Led: func() []outbox.Position { return []outbox.Position{{Bucket: 1}} },
	})
	if _, err := w.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
}
