package bucket_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/objecttest"
)

// meeting are the operations that may meet what a change of a bucket left behind when it was stopped.
func meeting(t *testing.T) map[string]func(*objecttest.Layer) error {
	ctx := t.Context()
	return map[string]func(*objecttest.Layer) error{
		"delete": func(l *objecttest.Layer) error { return l.Buckets.Delete(ctx, name) },
		"create": func(l *objecttest.Layer) error {
			_, err := l.Buckets.Create(ctx, objectlayer.Bucket{Name: name})
			return err
		},
		"get":        func(l *objecttest.Layer) error { _, err := l.Buckets.Get(ctx, name); return err },
		"put":        func(l *objecttest.Layer) error { return put(t, l, "a") },
		"put behind": func(l *objecttest.Layer) error { return put(t, l, "z") },
		"head": func(l *objecttest.Layer) error {
			_, err := l.Objects.Head(ctx, objectlayer.GetRequest{Bucket: name, Key: "z"})
			if objectlayer.KindOf(err) == objectlayer.KindNoSuchKey {
				return nil
			}
			return err
		},
		"list": func(l *objecttest.Layer) error {
			_, err := l.Listings.Keys(ctx, objectlayer.ListRequest{Bucket: name, Limit: 10})
			return err
		},
		"delete many": func(l *objecttest.Layer) error {
			ds, err := l.Objects.DeleteMany(ctx, name, []objectlayer.DeleteRequest{{Key: "c"}, {Key: "n"}, {Key: "y"}})
			for _, d := range ds {
				if err == nil {
					err = d.Err
				}
			}
			return err
		},
		"upload": func(l *objecttest.Layer) error {
			_, err := l.Uploads.Create(ctx, objectlayer.UploadRequest{Bucket: name, Key: "o"})
			return err
		},
		"versioning": func(l *objecttest.Layer) error { _, err := l.Buckets.Versioning(ctx, name); return err },
		"enable": func(l *objecttest.Layer) error {
			return l.Buckets.SetVersioning(ctx, name, objectlayer.VersioningEnabled)
		},
	}
}

// stepsMax is how many steps the longest change of a bucket in four ranges has: a record, four fences, a record, four
// fences, each before and after.
const stepsMax = 20

// stopAt has the layer's commands fail from a step on, as if the node went away; even steps are before a command, odd ones
// after it.
func stopAt(l *objecttest.Layer, step int) {
	var n atomic.Int32
	dead := &metashards.Error{Op: "apply", Kind: metashards.KindClosed}
	hook := func(context.Context, *metapb.Command) error {
		if int(n.Load()) >= step {
			return dead
		}
		n.Add(1)
		return nil
	}
	l.Meta.Before(hook)
	l.Meta.After(hook)
}

func goOn(l *objecttest.Layer) {
	l.Meta.Before(nil)
	l.Meta.After(nil)
}

// TestDeleteStoppedAnywhere stops a deletion before and after each of its commands, as a crash would, and has another
// node go on with each of the operations that may meet what is left. In half of the cases an object comes into the last
// range when the deletion has begun, so that it must be taken back.
func TestDeleteStoppedAnywhere(t *testing.T) {
	for op, run := range meeting(t) {
		for _, late := range []bool{false, true} {
			for step := range stepsMax + 1 {
				t.Run(fmt.Sprintf("%s late=%v step %d", op, late, step), func(t *testing.T) {
					l := newLayer(t)
					create(t, l)
					p := peer(l, 2)
					if err := put(t, p, "k"); err != nil { // the peer remembers the bucket
						t.Fatal(err)
					}
					if _, err := l.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: name, Key: "k"}); err != nil {
						t.Fatal(err)
					}
					there := late && putLate(t, l, p, step)
					if !late {
						stopAt(l, step)
					}
					stopped := l.Buckets.Delete(t.Context(), name)
					goOn(l)
					afterStop(t, p, there, stopped, op, run(p))
				})
			}
		}
	}
}

// putLate is stopAt that lets an object into the last range as soon as the bucket's record says "deleting". It reports
// whether the step allows for that.
func putLate(t *testing.T, l, p *objecttest.Layer, step int) bool {
	stopAt(l, step)
	if step < 2 {
		return false
	}
	l.Meta.After(func(_ context.Context, c *metapb.Command) error {
		if c.GetUpdateBucket() == nil {
			return nil
		}
		goOn(l)
		if err := put(t, p, "z"); err != nil {
			t.Error(err)
		}
		stopAt(l, step-2)
		return nil
	})
	return true
}

// afterStop judges what a peer's operation made of a deletion that was stopped, and that the bucket is in order.
func afterStop(t *testing.T, p *objecttest.Layer, there bool, stopped error, op string, err error) {
	t.Helper()
	if there { // the bucket must be as if nobody had tried
		switch op {
		case "delete":
			wantKind(t, err, objectlayer.KindBucketNotEmpty)
		case "create":
			wantKind(t, err, objectlayer.KindBucketExists)
		default:
			if err != nil {
				t.Fatal(err)
			}
		}
		takes(t, p)
		if _, err := p.Objects.Head(t.Context(), objectlayer.GetRequest{Bucket: name, Key: "z"}); err != nil {
			t.Fatal(err)
		}
		return
	}
	_, found := p.Buckets.Get(t.Context(), name)
	switch {
	case stopped == nil && op != "create" && found == nil:
		t.Fatal("a deletion was acknowledged and the bucket is there")
	case found == nil:
		takes(t, p)
	default:
		wantKind(t, found, objectlayer.KindNoSuchBucket)
		for _, key := range inRanges {
			wantKind(t, put(t, p, key), objectlayer.KindNoSuchBucket)
		}
	}
}

// takes judges that each range of the bucket takes writes.
func takes(t testing.TB, l *objecttest.Layer) {
	t.Helper()
	for _, key := range inRanges {
		if err := put(t, l, key+"more"); err != nil {
			t.Fatalf("the bucket is there and takes nothing: %v", err)
		}
	}
}

// rounds is how often the two proofs of the fence are tried. Under the race detector it is a fifth.
const rounds = 10_000

// TestDeleteAgainstPuts races deletions with puts into several ranges: an acknowledged object is never in a deleted bucket.
func TestDeleteAgainstPuts(t *testing.T) {
	var both [2]int // rounds that ended with a bucket, and without
	for round := range disktest.Seeds(rounds) {
		l := newLayer(t)
		create(t, l)
		var stored, deleted atomic.Int32
		var wg sync.WaitGroup
		for i := range 4 {
			p := peer(l, byte(i+1))
			wg.Go(func() {
				if i < 2 {
					switch err := p.Buckets.Delete(t.Context(), name); objectlayer.KindOf(err) {
					case objectlayer.KindBucketNotEmpty, objectlayer.KindNoSuchBucket, objectlayer.KindUnavailable:
					default:
						if err != nil {
							t.Errorf("delete: %v", err)
							return
						}
						deleted.Add(1)
					}
					return
				}
				switch err := put(t, p, inRanges[(round+i)%4]); {
				case err == nil:
					stored.Add(1)
				case objectlayer.KindOf(err) != objectlayer.KindNoSuchBucket:
					t.Errorf("put: %v", err)
				}
			})
		}
		wg.Wait()
		if stored.Load() > 0 && deleted.Load() > 0 {
			t.Fatalf("round %d: %d objects in a deleted bucket", round, stored.Load())
		}
		_, err := l.Buckets.Get(t.Context(), name)
		if (err == nil) != (deleted.Load() == 0) {
			t.Fatalf("round %d: deleted %d times, %v", round, deleted.Load(), err)
		}
		both[min(deleted.Load(), 1)]++
	}
	if both[0] == 0 || both[1] == 0 {
		t.Errorf("no race: %d buckets stayed, %d went", both[0], both[1])
	}
}

// onUpdate calls fn once, after the next change of a bucket's record.
func onUpdate(l *objecttest.Layer, fn func()) {
	l.Meta.After(func(_ context.Context, c *metapb.Command) error {
		if c.GetUpdateBucket() != nil {
			l.Meta.After(nil)
			fn()
		}
		return nil
	})
}

// TestDeleteUnanswered has one range answer nothing once a deletion has begun: the deletion gives up after 10 seconds, and
// the other ranges take writes at once; that range does when it answers again.
func TestDeleteUnanswered(t *testing.T) {
	for i, silent := range inRanges {
		t.Run(silent, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLayer(t)
				b := create(t, l)
				p := peer(l, 2)
				takesNothingYet(t, p)
				var end func()
				onUpdate(l, func() { end = l.Meta.Silence(t, b.ID, silent) })
				begun := time.Now()
				var frozen error
				var waited time.Duration
				var wg sync.WaitGroup
				if i > 0 {
					wg.Go(func() { // comes upon the freeze, and helps; it need not wait 10 seconds of its own
						time.Sleep(5 * time.Second)
						frozen = put(t, p, inRanges[0]+"during")
						waited = time.Since(begun)
					})
				}
				wantKind(t, l.Buckets.Delete(t.Context(), name), objectlayer.KindUnavailable)
				if d := time.Since(begun); d < 10*time.Second || d > 11*time.Second {
					t.Fatalf("the deletion took %v", d)
				}
				wg.Wait()
				if frozen != nil || waited > 13*time.Second {
					t.Fatalf("a write that met the freeze: %v after %v", frozen, waited)
				}
				for _, key := range inRanges[:i] { // they were told, before anybody came to them
					a, err := l.Meta.Query(t.Context(), &metapb.Query{
						Format: 1, Bucket: b.ID, Generation: 3, Key: []byte(key), Op: &metapb.Query_Get{Get: &metapb.GetVersion{}},
					})
					if err != nil || a.Status != metapb.Status_NO_SUCH_KEY {
						t.Fatalf("the range of %q is not thawed: %v, %v", key, a, err)
					}
				}
				begun = time.Now()
				for _, key := range inRanges {
					if key == silent {
						continue
					}
					if err := put(t, p, key); err != nil {
						t.Fatal(err)
					}
				}
				if d := time.Since(begun); d > 100*time.Millisecond {
					t.Fatalf("the other ranges took writes after %v", d)
				}
				end()
				takes(t, p)
			})
		})
	}
}

// TestDeleteWithoutItsCaller: a deletion whose caller goes away is carried to its end, here back, by the node that began it.
func TestDeleteWithoutItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer(t)
		b := create(t, l)
		onUpdate(l, func() { l.Meta.Silence(t, b.ID, "o") })
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		wantKind(t, l.Buckets.Delete(ctx, name), objectlayer.KindUnavailable)
		now, err := peer(l, 2).Resolver.Lookup(t.Context(), name)
		if err != nil || now.Deleting {
			t.Fatalf("%v, %v", now, err)
		}
	})
}

// takesNothingYet has a layer remember the bucket without putting anything into it.
func takesNothingYet(t testing.TB, l *objecttest.Layer) {
	t.Helper()
	_, err := l.Objects.Head(t.Context(), objectlayer.GetRequest{Bucket: name, Key: "k"})
	wantKind(t, err, objectlayer.KindNoSuchKey)
}

// TestDeleteLostThaw takes a deletion back while a range that took the freeze answers nothing: that one thaws when it is
// come to, and holds nobody up until then.
func TestDeleteLostThaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer(t)
		b := create(t, l)
		p := peer(l, 2)
		takesNothingYet(t, p)
		onUpdate(l, func() {
			if err := put(t, p, "z"); err != nil {
				t.Error(err)
			}
		})
		var end func()
		l.Meta.Before(func(_ context.Context, c *metapb.Command) error {
			if f := c.GetFence(); f != nil && string(c.Key) == cuts[0] { // the first range is frozen now
				l.Meta.Before(nil)
				end = l.Meta.Silence(t, b.ID, "a")
			}
			return nil
		})
		begun := time.Now()
		// The deletion was refused and looks for what is left: it can't see into that range.
		wantKind(t, l.Buckets.Delete(t.Context(), name), objectlayer.KindUnavailable)
		if d := time.Since(begun); d > 13*time.Second {
			t.Fatalf("the deletion took %v", d)
		}
		begun = time.Now()
		for _, key := range inRanges[1:] {
			if err := put(t, p, key); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(begun); d > 100*time.Millisecond {
			t.Fatalf("the other ranges took writes after %v", d)
		}
		end()
		takes(t, p)
	})
}

// TestSlowRanges deletes a bucket whose ranges take their time, longer in all than one is waited for.
func TestSlowRanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLayer(t)
		b := create(t, l)
		onUpdate(l, func() {
			for _, key := range inRanges {
				l.Meta.Slow(t, b.ID, key, 1900*time.Millisecond)
			}
		})
		if err := l.Buckets.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		wantKind(t, put(t, peer(l, 2), "k"), objectlayer.KindNoSuchBucket)
	})
}

// TestDeletionIsNotRemembered: an answer that was read while a deletion was under way must not outlive it.
func TestDeletionIsNotRemembered(t *testing.T) {
	l := newLayer(t)
	create(t, l)
	p := peer(l, 2)
	var told atomic.Int32
	l.Meta.Before(func(ctx context.Context, c *metapb.Command) error {
		if c.GetRemoveBucket() != nil {
			if _, err := p.Resolver.Lookup(ctx, name); err != nil {
				t.Error(err)
			}
		}
		if c.GetFence().GetFence().GetDeleted() { // the ranges do not hear that the bucket is gone
			told.Add(1)
			return &metashards.Error{Op: "apply", Kind: metashards.KindUnavailable}
		}
		return nil
	})
	if err := l.Buckets.Delete(t.Context(), name); err != nil || int(told.Load()) != len(inRanges) {
		t.Fatalf("%v, %d ranges told", err, told.Load())
	}
	goOn(l)
	_, err := p.Listings.Keys(t.Context(), objectlayer.ListRequest{Bucket: name, Limit: 1})
	wantKind(t, err, objectlayer.KindNoSuchBucket)
}
