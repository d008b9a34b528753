package object_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/object"
)

func TestJudgeRead(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC)
	v := objectlayer.Version{ETag: objectlayer.ETag{MD5: [16]byte{1}}, Modified: now}
	tag, other := `"`+v.ETag.String()+`"`, `"00000000000000000000000000000000"`
	before, same, after := now.Add(-time.Minute), now.Truncate(time.Second), now.Add(time.Minute)
	const (
		ok          = objectlayer.KindInternal // no error
		failed      = objectlayer.KindPreconditionFailed
		notModified = objectlayer.KindNotModified
	)
	type c = objectlayer.ReadConditions
	for _, x := range []struct {
		name       string
		c          c
		want, copy objectlayer.Kind
	}{
		{"none", c{}, ok, ok},
		{"match", c{IfMatch: []string{tag}}, ok, ok},
		{"match bare", c{IfMatch: []string{v.ETag.String()}}, ok, ok},
		{"match any", c{IfMatch: []string{"*"}}, ok, ok},
		{"match one of", c{IfMatch: []string{other, tag}}, ok, ok},
		{"match other", c{IfMatch: []string{other}}, failed, failed},
		{"none match other", c{IfNoneMatch: []string{other}}, ok, ok},
		{"none match", c{IfNoneMatch: []string{tag}}, notModified, failed},
		{"none match weak", c{IfNoneMatch: []string{"W/" + tag}}, notModified, failed},
		{"none match any", c{IfNoneMatch: []string{"*"}}, notModified, failed},
		{"modified since", c{IfModifiedSince: before}, ok, ok},
		{"modified since the same second", c{IfModifiedSince: same}, notModified, failed},
		{"not modified since", c{IfModifiedSince: after}, notModified, failed},
		{"unmodified since", c{IfUnmodifiedSince: after}, ok, ok},
		{"unmodified since the same second", c{IfUnmodifiedSince: same}, ok, ok},
		{"not unmodified since", c{IfUnmodifiedSince: before}, failed, failed},
		{"match makes unmodified void", c{IfMatch: []string{tag}, IfUnmodifiedSince: before}, ok, ok},
		{"unmodified does not mend match", c{IfMatch: []string{other}, IfUnmodifiedSince: after}, failed, failed},
		{"none match false, modified true", c{IfNoneMatch: []string{tag}, IfModifiedSince: before}, notModified, failed},
		{"none match makes modified void", c{IfNoneMatch: []string{other}, IfModifiedSince: after}, ok, ok},
		{"match fails before none match", c{IfMatch: []string{other}, IfNoneMatch: []string{tag}}, failed, failed},
	} {
		t.Run(x.name, func(t *testing.T) {
			for _, copySource := range []bool{false, true} {
				want := x.want
				if copySource {
					want = x.copy
				}
				x.c.CopySource = copySource
				err := object.JudgeRead(&v, x.c)
				if (err == nil) != (want == ok) || err != nil && objectlayer.KindOf(err) != want {
					t.Fatalf("copy %v: %v, want %v", copySource, err, want)
				}
				var e *objectlayer.Error
				if errors.As(err, &e) && e.Version == nil {
					t.Fatal("the error lacks the version")
				}
				if e != nil && strings.HasPrefix(e.Detail, "x-amz-copy-source-If-") != copySource {
					t.Fatalf("the condition is called %q", e.Detail)
				}
			}
		})
	}
}

func TestWriteConditions(t *testing.T) {
	l := newLayer(t)
	v := put(t, l, "there", []byte("1"))
	size, wrong := int64(1), int64(2)
	type c = objectlayer.WriteConditions
	for _, x := range []struct {
		name string
		key  string
		c    c
		want objectlayer.Kind // KindInternal: none
	}{
		{"none match, absent", "new", c{IfNoneMatch: true}, 0},
		{"none match, there", "there", c{IfNoneMatch: true}, objectlayer.KindPreconditionFailed},
		{"match, absent", "absent", c{IfMatch: v.ETag.String()}, objectlayer.KindNoSuchKey},
		{"match any, absent", "absent", c{IfMatch: "*"}, objectlayer.KindNoSuchKey},
		{"match other", "there", c{IfMatch: `"00000000000000000000000000000000"`}, objectlayer.KindPreconditionFailed},
		{"match nonsense", "there", c{IfMatch: "nonsense"}, objectlayer.KindPreconditionFailed},
		{"match", "there", c{IfMatch: v.ETag.String()}, 0},
		{"match quoted", "there", c{IfMatch: `"` + v.ETag.String() + `"`}, 0},
		{"match any", "there", c{IfMatch: "*"}, 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			body := &counting{Reader: bytes.NewReader([]byte("1"))}
			_, err := l.Objects.Put(t.Context(), objectlayer.PutRequest{Bucket: bucketName, Key: x.key, Size: 1, Conditions: x.c}, body)
			if x.want == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantKind(t, err, x.want)
			if body.reads != 0 {
				t.Fatal("the body was read although the condition fails")
			}
		})
	}
	for _, x := range []struct {
		name string
		key  string
		c    c
		want objectlayer.Kind
	}{
		{"match other", "there", c{IfMatch: "nonsense"}, objectlayer.KindPreconditionFailed},
		{"match, absent", "absent", c{IfMatch: "*"}, objectlayer.KindNoSuchKey},
		{"size", "there", c{IfMatchSize: &wrong}, objectlayer.KindPreconditionFailed},
		{"time", "there", c{IfMatchModified: v.Modified.Add(-time.Hour)}, objectlayer.KindPreconditionFailed},
		{"all hold", "there", c{IfMatch: "*", IfMatchSize: &size}, 0},
	} {
		t.Run("delete "+x.name, func(t *testing.T) {
			_, err := l.Objects.Delete(t.Context(), objectlayer.DeleteRequest{Bucket: bucketName, Key: x.key, Conditions: x.c})
			if x.want == 0 && err != nil {
				t.Fatal(err)
			} else if x.want != 0 {
				wantKind(t, err, x.want)
			}
		})
	}
}

type counting struct {
	io.Reader
	reads int
}

func (c *counting) Read(p []byte) (int, error) {
	c.reads++
	return c.Reader.Read(p)
}

// slow is a body that waits until it is released after its first byte.
type slow struct {
	data    *bytes.Reader
	begun   chan struct{}
	release chan struct{}
	once    sync.Once
}

func (s *slow) Read(p []byte) (int, error) {
	s.once.Do(func() {
		close(s.begun)
		<-s.release
	})
	return s.data.Read(p)
}

func TestRaceLostDuringTheBody(t *testing.T) {
	for _, n := range []int{10, 100_000} {
		l := newLayer(t)
		body := &slow{data: bytes.NewReader(randomBytes(1, n)), begun: make(chan struct{}), release: make(chan struct{})}
		done := make(chan error)
		go func() {
			_, err := l.Objects.Put(t.Context(), objectlayer.PutRequest{
				Bucket: bucketName, Key: "k", Size: int64(n), Conditions: objectlayer.WriteConditions{IfNoneMatch: true},
			}, body)
			done <- err
		}()
		<-body.begun
		put(t, l, "k", []byte("first"))
		close(body.release)
		wantKind(t, <-done, objectlayer.KindConflict)
		if _, got := get(t, l, objectlayer.GetRequest{Key: "k"}); string(got) != "first" {
			t.Fatalf("%q", got)
		}
		if n := l.Shards(t); n != 0 {
			t.Fatalf("%d shards of the loser stay", n)
		}
	}
}

func TestOneOf64WritersWins(t *testing.T) {
	l := newLayer(t)
	peers := [...]objectlayer.Objects{l.Objects, l.Peer(rand.NewChaCha8([32]byte{2})).Objects}
	for round := range 5 {
		key := string(rune('a' + round))
		var won, lost atomic.Int32
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				_, err := peers[i%2].Put(t.Context(), objectlayer.PutRequest{
					Bucket: bucketName, Key: key, Size: -1, Conditions: objectlayer.WriteConditions{IfNoneMatch: true},
				}, bytes.NewReader(randomBytes(uint64(i), 20_000*(i%2)+10)))
				switch objectlayer.KindOf(err) {
				case objectlayer.KindPreconditionFailed, objectlayer.KindConflict:
					lost.Add(1)
				default:
					if err != nil {
						t.Errorf("%v", err)
					}
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 63 {
			t.Fatalf("%d won, %d lost", won.Load(), lost.Load())
		}
	}
}

// TestUnknownOutcomeKeepsBytes has the answer of a commit lost: the bytes must stay, because they are an object's.
func TestUnknownOutcomeKeepsBytes(t *testing.T) {
	l := newLayer(t)
	l.Meta.After(func(_ context.Context, c *metapb.Command) error {
		if c.GetPut() != nil {
			return indeterminate()
		}
		return nil
	})
	data := randomBytes(1, 100_000)
	_, err := l.Objects.Put(t.Context(), objectlayer.PutRequest{Bucket: bucketName, Key: "k", Size: -1}, bytes.NewReader(data))
	wantKind(t, err, objectlayer.KindInternal)
	l.Meta.After(nil)
	if _, got := get(t, l, objectlayer.GetRequest{Key: "k"}); !bytes.Equal(got, data) {
		t.Fatal("the bytes of a commit with unknown outcome are gone")
	}
}

func TestRefusedCommitDropsBytes(t *testing.T) {
	l := newLayer(t)
	l.Meta.Before(func(_ context.Context, c *metapb.Command) error { return unavailable() })
	_, err := l.Objects.Put(t.Context(), objectlayer.PutRequest{Bucket: bucketName, Key: "k", Size: -1}, bytes.NewReader(randomBytes(1, 100_000)))
	wantKind(t, err, objectlayer.KindUnavailable)
	if n := l.Shards(t); n != 0 {
		t.Fatalf("%d shards stay", n)
	}
}

// TestCommandIsWellFormed looks at what a put sends: the floor and the dedupe rows rely on it.
func TestCommandIsWellFormed(t *testing.T) {
	l := newLayer(t)
	seen := map[string]bool{}
	l.Meta.Before(func(_ context.Context, c *metapb.Command) error {
		v := c.GetPut().GetVersion()
		if len(c.RequestId) != 32 || seen[c.RequestId] || c.Time == 0 || c.Generation != 1 || v.Nonce == 0 {
			t.Errorf("%v", c)
		}
		seen[c.RequestId] = true
		if b := v.GetBlob(); b != nil && (c.Begun == 0 || c.PayloadLength != 0 || c.Begun*1000 > c.Time) {
			t.Errorf("begun %d at %d", c.Begun, c.Time)
		} else if b == nil && c.PayloadLength != v.Size {
			t.Errorf("payload of %d for %d", c.PayloadLength, v.Size)
		}
		return nil
	})
	for _, n := range sizes {
		put(t, l, "k", randomBytes(1, n))
	}
	if len(seen) != len(sizes) {
		t.Fatalf("%d commands for %d puts", len(seen), len(sizes))
	}
}
