package node

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/gateway/admin"
	"github.com/contender/contender/metashards/clustermap"
)

// TestArrangeRanges: an operator splits ranges and moves a replica while clients write. It arrives, the old one is collected,
// and nothing is lost.
func TestArrangeRanges(t *testing.T) {
	c := newCluster(t, 3)
	s := c.nodes[0]
	s.createBucket()
	stop, written := make(chan struct{}), new(atomic.Int64)
	var writers sync.WaitGroup
	end := sync.OnceFunc(func() { close(stop); writers.Wait() })
	defer end()
	for w := range 3 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := c.nodes[w].put(fmt.Sprintf("%d/%06d", w, i), []byte("x")); err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
				written.Add(1)
			}
		})
	}
	await(t, "some keys", func() bool { return written.Load() > 30 })
	s.splitByHand()
	s.refuseToArrange()
	s.moveByHand(c)
	end()
	for _, s := range c.nodes {
		if got := s.listAll(); len(got) != int(written.Load()) {
			t.Errorf("%d keys are listed, %d were written", len(got), written.Load())
		}
	}
}

// splitByHand splits at a key, then in the middle.
func (s *server) splitByHand() {
	s.t.Helper()
	split := func(q admin.SplitRequest) (a admin.SplitAnswer, err error) {
		await(s.t, "no exchange of replicas", func() bool {
			var refused *admin.RequestError
			a, err = s.SplitRange(s.t.Context(), q)
			return !errors.As(err, &refused) || refused.Kind != admin.Conflict
		})
		return a, err
	}
	a, err := split(admin.SplitRequest{Bucket: testBucket, Key: "1/"})
	if err != nil || a.Left.ID != dataRange || a.Left.End == nil || a.Left.End.Bucket != testBucket || a.Left.End.Key != "1/" {
		s.t.Fatalf("%+v %v", a, err)
	}
	b, err := split(admin.SplitRequest{Range: a.Right.ID})
	if err != nil || b.Left.ID != a.Right.ID || b.Left.End == nil || b.Left.End.Bucket != testBucket || b.Right.ID == a.Right.ID {
		s.t.Fatalf("%+v %v", b, err)
	}
	var ids []uint64
	await(s.t, "all leaders in the list", func() bool {
		l, err := s.Ranges(s.t.Context(), testBucket)
		if err != nil {
			s.t.Fatal(err)
		}
		ids = ids[:0]
		for _, r := range l.Ranges {
			ids = append(ids, r.ID)
			if r.Leader == nil || r.Leader.Path == "" || len(r.Replicas) != 3 {
				return false
			}
		}
		return true
	})
	if want := []uint64{dataRange, a.Right.ID, b.Right.ID}; !slices.Equal(ids, want) {
		s.t.Errorf("ranges %v, want %v", ids, want)
	}
}

func (s *server) refuseToArrange() {
	s.t.Helper()
	t, m := s.t, s.topology.Map()
	on := m.Range(dataRange).Replicas
	for name, c := range map[string]struct {
		err  func() error
		kind admin.RequestErrorKind
	}{
		"no bucket": {func() error { _, err := s.Ranges(t.Context(), "nothing"); return err }, admin.NotFound},
		"split no bucket": {func() error {
			_, err := s.SplitRange(t.Context(), admin.SplitRequest{Bucket: "nothing", Key: "k"})
			return err
		}, admin.NotFound},
		"split no range": {func() error { _, err := s.SplitRange(t.Context(), admin.SplitRequest{Range: 99}); return err }, admin.NotFound},
		"split at a start": {func() error {
			_, err := s.SplitRange(t.Context(), admin.SplitRequest{Bucket: testBucket, Key: "1/"})
			return err
		}, admin.Conflict},
		"split the system range": {func() error { _, err := s.SplitRange(t.Context(), admin.SplitRequest{Range: systemRange}); return err }, admin.Conflict},
		"move no range": {func() error {
			return s.MoveReplica(t.Context(), admin.MoveRequest{Range: 99, From: on[0].Disk.String(), To: on[1].Disk.String()})
		}, admin.NotFound},
		"move to where one is": {func() error {
			return s.MoveReplica(t.Context(), admin.MoveRequest{Range: dataRange, From: on[0].Disk.String(), To: on[1].Disk.String()})
		}, admin.Conflict},
		"move nonsense": {func() error { return s.MoveReplica(t.Context(), admin.MoveRequest{Range: dataRange, From: "x"}) }, admin.Invalid},
	} {
		var refused *admin.RequestError
		if err := c.err(); !errors.As(err, &refused) || refused.Kind != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// moveByHand moves a replica to the other disk of its node, such that the cluster has no reason to move it back.
func (s *server) moveByHand(c *cluster) {
	t := s.t
	t.Helper()
	for _, x := range c.nodes {
		x.awaitRest()
	}
	id, from, to := balancedMove(s.topology.Map())
	if err := s.MoveReplica(t.Context(), admin.MoveRequest{Range: id, From: from.String(), To: to.String()}); err != nil {
		t.Fatal(err)
	}
	has := func(r *clustermap.Range, d disk.ID) bool {
		return slices.ContainsFunc(r.Replicas, func(x clustermap.Replica) bool { return x.Disk == d && !x.Learner })
	}
	await(t, "the order is carried out", func() bool {
		r := s.topology.Map().Range(id)
		return r.Move == nil && has(r, to) && !has(r, from)
	})
	await(t, "the old replica is collected", func() bool {
		for _, x := range c.nodes {
			if st := x.stores[from]; st != nil {
				for _, y := range st.Status().Replicas {
					if y.Range == id {
						return false
					}
				}
			}
		}
		return true
	})
}

// balancedMove finds a replica to move to the other disk of its node, which has no more replicas.
func balancedMove(m *clustermap.Map) (id uint64, from, to disk.ID) {
	load := map[disk.ID]int{}
	for i := range m.Ranges {
		for _, x := range m.Ranges[i].Replicas {
			load[x.Disk]++
		}
	}
	for _, r := range m.Ranges {
		for _, x := range r.Replicas {
			for _, d := range m.Disks {
				if d.Node == m.Disk(x.Disk).Node && d.ID != x.Disk && load[x.Disk] >= load[d.ID] {
					return r.ID, x.Disk, d.ID
				}
			}
		}
	}
	return 0, 0, 0
}

// awaitRest waits until no range has anything but voters, three of them on one copyset, and no disk of a node has many more
// than the other.
func (s *server) awaitRest() {
	s.t.Helper()
	await(s.t, "the replicas come to rest", func() bool {
		m := s.topology.Map()
		load := map[disk.ID]int{}
		for _, r := range m.Ranges {
			for _, x := range r.Replicas {
				load[x.Disk]++
				if x.Learner || x.Incoming || x.Outgoing {
					return false
				}
			}
			if !onCopyset(m, &r) {
				return false
			}
		}
		for _, a := range m.Disks {
			for _, b := range m.Disks {
				if a.Node == b.Node && load[a.ID] > load[b.ID]+2 {
					return false
				}
			}
		}
		return true
	})
}

// onCopyset reports whether the replicas of a range lie on exactly one of the map's sets.
func onCopyset(m *clustermap.Map, r *clustermap.Range) bool {
	var disks []disk.ID
	for _, x := range r.Replicas {
		disks = append(disks, x.Disk)
	}
	slices.Sort(disks)
	return slices.ContainsFunc(m.Copysets, func(s clustermap.Copyset) bool { return slices.Equal(s.Disks, disks) })
}
