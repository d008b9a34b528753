package node

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
)

// How long a deletion may take when a range does not answer: it waits 10 s for it, and a little for the other ranges to find
// new leaders.
const (
	deleteLeast = 10 * time.Second
	deleteMost  = 15 * time.Second
)

// A torn cluster is four nodes in virtual time and a bucket in four ranges. Two of the nodes can be cut off from all: then one
// range at least has no quorum; the first range of the bucket and the system's have one.
type torn struct {
	t       *testing.T
	nodes   []*server
	cutters []*cutter

	off, on      []int    // nodes that are cut off, and the others
	silent, live []string // a key of each range without a quorum and with one, in order
}

// newTorn returns a cluster whose nodes all remember the bucket, which is empty.
func newTorn(t *testing.T) *torn {
	p := newPipes()
	c, cutters := newCutCluster(t, 4, "nodes", memoryEnv(disktest.NewFS(1), p), p.transport, func(cfg *Config) {
		cfg.Dirs = cfg.Dirs[:1]
		cfg.SegmentBytes, cfg.CapacityBytes = 256<<10, 256<<20
	})
	x := &torn{t: t, nodes: c.nodes, cutters: cutters}
	x.nodes[0].createBucket()
	x.nodes[0].splitAt("d", "g", "j")
	await(t, "ranges that two nodes can be taken from", x.choose)
	for _, s := range x.nodes {
		if _, err := s.get("nothing"); statusOf(err) != http.StatusNotFound {
			t.Fatal(err)
		}
	}
	return x
}

// choose finds the two nodes, if the replicas lie so that there are two.
func (x *torn) choose() bool {
	m := x.nodes[0].topology.Map()
	if len(m.Ranges) != 5 {
		return false
	}
	for a := range x.nodes {
		for b := range a {
			if x.choosePair(m, a, b) {
				return true
			}
		}
	}
	return false
}

func (x *torn) choosePair(m *clustermap.Map, a, b int) bool {
	x.off, x.on, x.silent, x.live = []int{a, b}, nil, nil, nil
	for i := range x.nodes {
		if i != a && i != b {
			x.on = append(x.on, i)
		}
	}
	for _, key := range []string{"a", "e", "h", "k"} {
		r := rangeOfKey(m, keys.Position(1, []byte(key)))
		if len(r.Replicas) != 3 {
			return false
		}
		if x.keepsQuorum(r) {
			x.live = append(x.live, key)
		} else {
			x.silent = append(x.silent, key)
		}
	}
	return x.keepsQuorum(m.Range(systemRange)) && len(x.silent) > 0 && len(x.live) > 0 && x.live[0] == "a"
}

func rangeOfKey(m *clustermap.Map, at []byte) *clustermap.Range {
	for i := range m.Ranges {
		if r := &m.Ranges[i]; string(r.Start) <= string(at) && (len(r.End) == 0 || string(at) < string(r.End)) {
			return r
		}
	}
	return nil
}

// keepsQuorum reports whether a range, with three voters, has two of them on nodes that are not cut off.
func (x *torn) keepsQuorum(r *clustermap.Range) bool {
	n := 0
	for _, i := range x.on {
		for _, v := range r.Replicas {
			if _, here := x.nodes[i].disks[v.Disk]; here && !v.Learner && !v.Incoming && !v.Outgoing {
				n++
			}
		}
	}
	return n == 2 && len(r.Replicas) == 3
}

// cut cuts the two nodes off, or mends that.
func (x *torn) cut(off bool) {
	for _, i := range x.off {
		x.cutters[i].set(off)
	}
}

// statusOf returns the HTTP status of an error that a node answered.
func statusOf(err error) int {
	var answer *awshttp.ResponseError
	if !errors.As(err, &answer) {
		return 0
	}
	return answer.HTTPStatusCode()
}

func (s *server) deleteBucket() error {
	_, err := s.client.DeleteBucket(s.t.Context(), &s3.DeleteBucketInput{Bucket: aws.String(testBucket)})
	return err
}

// takesSoon judges that the nodes that are not cut off take writes into each range with a quorum, without a pause, and then
// removes what was written.
func (x *torn) takesSoon() {
	x.t.Helper()
	begun := time.Now()
	for _, i := range x.on {
		for _, key := range x.live {
			x.nodes[i].mustPut(key, []byte("v"))
		}
	}
	if d := time.Since(begun); d > time.Second {
		x.t.Errorf("the ranges with a quorum took writes after %v", d)
	}
	for _, key := range x.live {
		x.remove(key, "")
	}
}

func (x *torn) remove(key, version string) {
	x.t.Helper()
	q := &s3.DeleteObjectInput{Bucket: aws.String(testBucket), Key: aws.String(key)}
	if version != "" {
		q.VersionId = aws.String(version)
	}
	if _, err := x.nodes[x.on[0]].client.DeleteObject(x.t.Context(), q); err != nil {
		x.t.Fatal(err)
	}
}

// goes judges that the bucket is deleted once all nodes are back, and that no node takes anything into it any more.
func (x *torn) goes() {
	x.t.Helper()
	await(x.t, "the bucket goes", func() bool {
		err := x.nodes[x.off[0]].deleteBucket()
		if err != nil && statusOf(err) != http.StatusServiceUnavailable {
			x.t.Fatal(err)
		}
		return err == nil
	})
	for _, s := range x.nodes {
		for _, key := range []string{"a", "e", "h", "k"} {
			if err := s.put(key, []byte("late")); statusOf(err) != http.StatusNotFound {
				x.t.Errorf("a put of %s into a gone bucket: %v", key, err)
			}
		}
	}
}

// TestDeleteWithoutQuorum: DeleteBucket of a bucket one range of which has no quorum answers 503 after some 10 s, the other
// ranges take writes, and once there is a quorum it is deleted.
func TestDeleteWithoutQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTorn(t)
		x.cut(true)
		for _, i := range x.on {
			begun := time.Now()
			if err := x.nodes[i].deleteBucket(); statusOf(err) != http.StatusServiceUnavailable {
				t.Errorf("the deletion ended with %v, want a 503", err)
			}
			if d := time.Since(begun); d > deleteMost {
				t.Errorf("the deletion took %v", d)
			}
			x.takesSoon()
		}
		if err := x.nodes[x.on[0]].put(x.silent[0], []byte("v")); statusOf(err) != http.StatusServiceUnavailable {
			t.Errorf("a put into the range without a quorum: %v", err)
		}
		x.cut(false)
		x.goes()
	})
}

// watched is a way to the metadata that calls after with each command that was carried out.
type watched struct {
	metashards.Store
	after func(*metapb.Command)
}

func (w watched) Apply(ctx context.Context, c *metapb.Command, payload []byte) (*metapb.Result, error) {
	res, err := w.Store.Apply(ctx, c, payload)
	if err == nil {
		w.after(c)
	}
	return res, err
}

// TestFreezeWithoutQuorum: a range loses its quorum when a deletion has frozen the first range already. The deletion gives up
// after 10 s, the ranges thaw at once, and a write that met the freeze is carried out.
func TestFreezeWithoutQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTorn(t)
		s, other := x.nodes[x.on[0]], x.nodes[x.on[1]]
		var cut time.Time
		frozen := make(chan struct{})
		buckets, _ := s.layerOn(watched{s.meta, func(c *metapb.Command) {
			if cut.IsZero() && c.GetFence().GetFence().GetFrozen() {
				cut = time.Now()
				x.cut(true)
				close(frozen)
			}
		}})
		var met sync.WaitGroup
		met.Go(func() {
			<-frozen
			if err := other.put("a", []byte("met the freeze")); err != nil {
				t.Errorf("a put that met the freeze: %v", err)
			}
			if d := time.Since(cut); d < deleteLeast || d > deleteMost {
				t.Errorf("a put that met the freeze was answered %v after that", d)
			}
		})
		if err := buckets.Delete(t.Context(), testBucket); objectlayer.KindOf(err) != objectlayer.KindUnavailable {
			t.Errorf("the deletion ended with %v", err)
		}
		if d := time.Since(cut); d < deleteLeast || d > deleteMost {
			t.Errorf("the deletion took %v", d)
		}
		met.Wait()
		x.takesSoon()
		x.cut(false)
		await(t, "the range answers", func() bool { return other.put(x.silent[0], []byte("v")) == nil })
		if err := s.deleteBucket(); statusOf(err) != http.StatusConflict {
			t.Errorf("the deletion of a bucket with an object: %v", err)
		}
		x.remove(x.silent[0], "")
		x.goes()
	})
}

// TestVersioningWithoutQuorum: a change of versioning is not acknowledged while one range has no quorum, however long that
// takes; the other ranges take writes. Once there is a quorum it is, and all nodes obey it.
func TestVersioningWithoutQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTorn(t)
		x.cut(true)
		hasty, _ := x.nodes[x.on[0]].layerOn(x.nodes[x.on[0]].meta)
		soon, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begun := time.Now()
		if err := hasty.SetVersioning(soon, testBucket, enabled); objectlayer.KindOf(err) != objectlayer.KindInternal {
			t.Errorf("a change that was not waited for: %v; want that it is not known what became of it", err)
		}
		if d := time.Since(begun); d > 6*time.Second {
			t.Errorf("it was given up after %v", d)
		}
		patient, _ := x.nodes[x.on[1]].layerOn(x.nodes[x.on[1]].meta)
		await(t, "the ranges with a quorum find leaders", func() bool {
			return !slices.ContainsFunc(x.live, func(key string) bool { return x.nodes[x.on[0]].put(key, []byte("v")) != nil })
		})
		done := make(chan error, 1)
		go func() { done <- patient.SetVersioning(t.Context(), testBucket, enabled) }()
		for range 3 {
			select {
			case err := <-done:
				t.Fatalf("acknowledged without a range: %v", err)
			case <-time.After(10 * time.Second):
			}
			x.takesSoon()
		}
		x.cut(false)
		healed := time.Now()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		t.Logf("acknowledged %v after the quorum was back", time.Since(healed))
		for _, s := range x.nodes {
			for _, key := range append(x.live, x.silent...) {
				if id, err := s.putVersion(key, "v"); err != nil || id == "" || id == nullVersion {
					t.Errorf("a put through %s into the range of %s made version %q, %v", s.cfg.Name, key, id, err)
				}
			}
		}
		_, lists := x.nodes[x.on[0]].layerOn(x.nodes[x.on[0]].meta)
		var all []objectlayer.Version
		if err := allVersions(t.Context(), lists, func(v *objectlayer.Version) { all = append(all, *v) }); err != nil {
			t.Fatal(err)
		}
		for _, v := range all {
			x.remove(v.Key, v.ID)
		}
		x.goes()
	})
}
