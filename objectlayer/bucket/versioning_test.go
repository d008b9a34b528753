package bucket_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/objecttest"
)

const (
	never     = objectlayer.VersioningNever
	enabled   = objectlayer.VersioningEnabled
	suspended = objectlayer.VersioningSuspended
)

func setVersioning(t testing.TB, l *objecttest.Layer, v objectlayer.Versioning) {
	t.Helper()
	if err := l.Buckets.SetVersioning(t.Context(), name, v); err != nil {
		t.Fatal(err)
	}
}

func wantVersioning(t testing.TB, l *objecttest.Layer, want objectlayer.Versioning) {
	t.Helper()
	if v, err := l.Buckets.Versioning(t.Context(), name); err != nil || v != want {
		t.Fatalf("versioning %d, %v, want %d", v, err, want)
	}
}

// putVersion puts an object and returns the state of versioning that the range obeyed, as far as it shows: a null version
// is shown to clients once the bucket was versioned.
func putVersion(ctx context.Context, l *objecttest.Layer, key string) (objectlayer.Versioning, error) {
	v, err := l.Objects.Put(ctx, objectlayer.PutRequest{Bucket: name, Key: key, Size: 1}, bytes.NewReader([]byte("1")))
	switch {
	case v.ID != "null":
		return enabled, err
	case v.Versioned:
		return suspended, err
	}
	return never, err
}

// obeys judges that writes through a layer into each range obey a state of versioning.
func obeys(t testing.TB, l *objecttest.Layer, want objectlayer.Versioning) {
	t.Helper()
	for _, key := range inRanges {
		if got, err := putVersion(t.Context(), l, key); err != nil || got != want {
			t.Fatalf("a write to %q obeyed %d, %v, want %d", key, got, err, want)
		}
	}
}

func TestVersioningLife(t *testing.T) {
	l := newLayer(t)
	wantKind(t, l.Buckets.SetVersioning(t.Context(), name, enabled), objectlayer.KindNoSuchBucket)
	_, err := l.Buckets.Versioning(t.Context(), name)
	wantKind(t, err, objectlayer.KindNoSuchBucket)
	create(t, l)
	wantVersioning(t, l, never)
	obeys(t, l, never)
	wantKind(t, l.Buckets.SetVersioning(t.Context(), name, never), objectlayer.KindInvalidArgument)
	wantKind(t, l.Buckets.SetVersioning(t.Context(), name, 3), objectlayer.KindInvalidArgument)
	for _, v := range []objectlayer.Versioning{enabled, enabled, suspended, enabled} {
		setVersioning(t, l, v)
		wantVersioning(t, l, v)
		obeys(t, l, v)
	}
	d, err := l.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: name, Key: "z"})
	if err != nil || !d.DeleteMarker || d.VersionID == "" || d.VersionID == "null" {
		t.Fatalf("%+v %v", d, err)
	}
	setVersioning(t, l, suspended)
	if d, err = l.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: name, Key: "a"}); err != nil || !d.DeleteMarker || d.VersionID != "null" {
		t.Fatalf("%+v %v", d, err)
	}
	wantKind(t, l.Buckets.Delete(t.Context(), name), objectlayer.KindBucketNotEmpty)
	wantVersions(t, l, map[string]int{"a": 4, "k": 4, "o": 4, "z": 5})
}

func wantVersions(t *testing.T, l *objecttest.Layer, want map[string]int) {
	t.Helper()
	p, err := l.Listings.Versions(t.Context(), objectlayer.ListRequest{Bucket: name, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, it := range p.Items {
		got[it.Version.Key]++
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("versions %v, want %v", got, want)
	}
}

// TestVersioningObeyed: once a change of versioning is acknowledged, a write through any other node obeys it, whatever that
// node remembers and in whichever range the key lies.
func TestVersioningObeyed(t *testing.T) {
	l := newLayer(t)
	create(t, l)
	nodes := []*objecttest.Layer{peer(l, 2), peer(l, 3), peer(l, 4)}
	for _, n := range nodes {
		obeys(t, n, never)
	}
	for round := range disktest.Seeds(rounds) {
		v := enabled
		if round%2 == 1 {
			v = suspended
		}
		setVersioning(t, nodes[round%3], v)
		for i, n := range nodes {
			key := inRanges[(round/3+i)%4]
			if got, err := putVersion(t.Context(), n, key); err != nil || got != v {
				t.Fatalf("round %d: node %d obeyed %d, %v, want %d", round, i, got, err, v)
			}
			if round%2 == 0 && round%10 != 0 {
				continue
			}
			d, err := n.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: name, Key: key})
			if err != nil || !d.DeleteMarker || (d.VersionID == "null") != (v == suspended) {
				t.Fatalf("round %d: node %d: %+v, %v", round, i, d, err)
			}
		}
	}
}

// TestWritesAgainstVersioning has nodes write all the time while versioning is enabled and suspended: a write that began
// after a change was acknowledged, and ended before the next one began, obeys it.
func TestWritesAgainstVersioning(t *testing.T) {
	l := newLayer(t)
	create(t, l)
	setVersioning(t, l, suspended)
	var acknowledged atomic.Int64 // counts up to an odd number when a change begins, to an even one when it is acknowledged
	var judged atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i := range 3 {
		p := peer(l, byte(i+2))
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				before := acknowledged.Load()
				got, err := putVersion(context.WithoutCancel(ctx), p, inRanges[(n+i)%4])
				if err != nil {
					t.Error(err)
					return
				}
				if before%2 == 1 || acknowledged.Load() != before {
					continue
				}
				judged.Add(1)
				if want := stateAfter(before); got != want {
					t.Errorf("a write after change %d obeyed %d, want %d", before/2, got, want)
				}
			}
		})
	}
	changes := disktest.Seeds(500)
	for range changes {
		n := acknowledged.Add(1)
		if err := l.Buckets.SetVersioning(t.Context(), name, stateAfter(n+1)); err != nil {
			t.Error(err)
			break
		}
		acknowledged.Add(1)
		for seen := judged.Load(); judged.Load() < seen+3 && !t.Failed(); { // so that writes do come between
			runtime.Gosched()
		}
	}
	cancel()
	all.Wait()
}

// stateAfter returns the state that was acknowledged last when the count was n, an even number.
func stateAfter(n int64) objectlayer.Versioning {
	if n/2%2 == 1 {
		return enabled
	}
	return suspended
}

// TestVersioningStoppedAnywhere stops a change of versioning before and after each of its commands and has another node
// go on with each of the operations that may meet what is left.
func TestVersioningStoppedAnywhere(t *testing.T) {
	for op, run := range meeting(t) {
		for step := range stepsMax + 1 {
			t.Run(fmt.Sprintf("%s step %d", op, step), func(t *testing.T) {
				l := newLayer(t)
				create(t, l)
				p, old := peer(l, 2), peer(l, 3)
				if err := put(t, p, "k"); err != nil {
					t.Fatal(err)
				}
				obeys(t, old, never)
				stopAt(l, step)
				stopped := l.Buckets.SetVersioning(t.Context(), name, enabled)
				goOn(l)
				switch err := run(p); op {
				case "delete":
					wantKind(t, err, objectlayer.KindBucketNotEmpty)
				case "create":
					wantKind(t, err, objectlayer.KindBucketExists)
				default:
					if err != nil {
						t.Fatal(err)
					}
				}
				if stopped == nil || op == "enable" {
					obeys(t, old, enabled)
				}
				v, err := p.Buckets.Versioning(t.Context(), name)
				if err != nil || v == suspended || stopped == nil && v != enabled {
					t.Fatalf("%d, %v after %v", v, err, stopped)
				}
				obeys(t, old, v)
				setVersioning(t, old, suspended)
				obeys(t, l, suspended)
			})
		}
	}
}

// TestVersioningWaits: a change waits for a range that does not answer, and is over when that one does. The other ranges
// take writes all the time.
func TestVersioningWaits(t *testing.T) {
	for _, silent := range inRanges {
		t.Run(silent, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLayer(t)
				b := create(t, l)
				p, old := peer(l, 2), peer(l, 3)
				obeys(t, old, never)
				end := l.Meta.Silence(t, b.ID, silent)
				done := make(chan error)
				go func() { done <- l.Buckets.SetVersioning(t.Context(), name, enabled) }()
				for range 10 {
					select {
					case err := <-done:
						t.Fatalf("acknowledged without a range: %v", err)
					case <-time.After(time.Minute):
					}
					for _, key := range inRanges {
						if key == silent {
							continue
						}
						if _, err := putVersion(t.Context(), p, key); err != nil {
							t.Fatal(err)
						}
					}
				}
				end()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				obeys(t, old, enabled)
			})
		})
	}
}

// TestVersioningGivenUp: a change whose caller does not wait long enough says that it is not known what became of it, and
// goes on with whoever wants to know.
func TestVersioningGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer(t)
		b := create(t, l)
		p, old := peer(l, 2), peer(l, 3)
		obeys(t, old, never)
		end := l.Meta.Silence(t, b.ID, "o")
		soon := func() context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			t.Cleanup(cancel)
			return ctx
		}
		wantKind(t, l.Buckets.SetVersioning(soon(), name, enabled), objectlayer.KindInternal)
		_, err := p.Buckets.Versioning(soon(), name)
		wantKind(t, err, objectlayer.KindUnavailable)
		if _, err := p.Buckets.Get(t.Context(), name); err != nil { // it needs no range
			t.Fatal(err)
		}
		end()
		wantVersioning(t, p, enabled)
		obeys(t, old, enabled)
	})
}

// TestTwoAdmins has two nodes change versioning at once, and a third one try to delete the bucket: each change is
// acknowledged, and in the end all obey one of them.
func TestTwoAdmins(t *testing.T) {
	for round := range disktest.Seeds(500) {
		l := newLayer(t)
		create(t, l)
		old := peer(l, 9)
		obeys(t, old, never)
		var all sync.WaitGroup
		for i, v := range []objectlayer.Versioning{enabled, suspended} {
			p := peer(l, byte(i+2))
			all.Go(func() {
				if err := p.Buckets.SetVersioning(t.Context(), name, v); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		all.Go(func() {
			if err := peer(l, 4).Buckets.Delete(t.Context(), name); objectlayer.KindOf(err) != objectlayer.KindBucketNotEmpty {
				t.Errorf("round %d: %v", round, err)
			}
		})
		all.Wait()
		v, err := l.Buckets.Versioning(t.Context(), name)
		if err != nil || v == never {
			t.Fatalf("round %d: %d, %v", round, v, err)
		}
		obeys(t, old, v)
	}
}

// TestSplitsAmidWalks splits ranges between any two steps of a change, before and behind where it has come to.
func TestSplitsAmidWalks(t *testing.T) {
	splits := []string{"A", "a", "aa", "b", "c", "k", "l", "n", "o", "p", "t", "u", "z", "zz"}
	keys := append([]string{"0"}, splits...)
	for step := range stepsMax {
		for _, at := range splits {
			t.Run(fmt.Sprintf("step %d at %s", step, at), func(t *testing.T) {
				l := newLayer(t)
				b := create(t, l)
				old := peer(l, 2)
				takesNothingYet(t, old)
				splitAt(t, l, step, func() { l.Meta.Split(t, b.ID, at) })
				setVersioning(t, l, enabled)
				for _, key := range keys {
					if got, err := putVersion(t.Context(), old, key); err != nil || got != enabled {
						t.Fatalf("a write to %q obeyed %d, %v", key, got, err)
					}
				}
				goOn(l)
				for _, key := range keys {
					removeAll(t, l, key)
				}
				splitAt(t, l, step, func() { l.Meta.Split(t, b.ID, at+"!") })
				if err := l.Buckets.Delete(t.Context(), name); err != nil {
					t.Fatal(err)
				}
				for _, key := range keys {
					wantKind(t, put(t, old, key), objectlayer.KindNoSuchBucket)
				}
			})
		}
	}
}

// splitAt calls split between two commands: even steps are before a command, odd ones after it.
func splitAt(t *testing.T, l *objecttest.Layer, step int, split func()) {
	t.Helper()
	var n atomic.Int32
	hook := func(context.Context, *metapb.Command) error {
		if int(n.Add(1)) == step+1 {
			split()
		}
		return nil
	}
	l.Meta.Before(hook)
	l.Meta.After(hook)
}

// removeAll removes the one version of a key.
func removeAll(t *testing.T, l *objecttest.Layer, key string) {
	t.Helper()
	rd, err := l.Objects.Head(t.Context(), objectlayer.GetRequest{Bucket: name, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: name, Key: key, VersionID: rd.Version.ID})
	if err != nil {
		t.Fatal(err)
	}
}
