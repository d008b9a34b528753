//go:build bones

package bones

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/contender/contender/conformance/harness"
)

const (
	fullObject = 1 << 20
	fullAgain  = 2 * time.Minute // until there is room again after deletes
)

// full is a server whose folders are small file systems, and what was acknowledged.
type full struct {
	t    *testing.T
	s    *harness.Server
	c    *s3.Client
	kept []string
	next int
}

func newFull(t *testing.T, mib ...int) *full {
	t.Helper()
	s := harness.New(t, len(mib), "--segment-bytes=8388608", "--delete-delay=1s")
	for i, dir := range s.Dirs {
		mountSized(t, dir, mib[i])
	}
	s.Start()
	f := &full{t: t, s: s, c: harness.Client(s.Endpoint)}
	harness.CreateBucket(t, f.c, bucket)
	return f
}

func (f *full) put() error {
	key := fmt.Sprintf("%06d", f.next)
	f.next++
	err := harness.Put(f.t.Context(), f.c, bucket, key, harness.Body(key, fullObject))
	if err == nil {
		f.kept = append(f.kept, key)
	}
	return err
}

// fill puts until it is refused, several times in a row, and returns how much was taken. Every refusal must be one that says what is wrong.
func (f *full) fill(most int) (taken int) {
	f.t.Helper()
	for refused := 0; refused < 5; {
		switch err := f.put(); {
		case err == nil:
			refused = 0
			if taken++; taken > most {
				f.t.Fatalf("%d MiB were taken, which cannot be", taken)
			}
		default:
			if code := harness.StatusCode(err); code != http.StatusInsufficientStorage && code != http.StatusServiceUnavailable {
				f.t.Fatalf("a PUT that finds no room: %v", err)
			}
			refused++
		}
	}
	return taken
}

// check reads everything that was acknowledged.
func (f *full) check(when string) {
	f.t.Helper()
	harness.Each(f.t, 4, len(f.kept), func(i int) error {
		b, err := harness.Get(f.t.Context(), f.c, bucket, f.kept[i])
		if err != nil || string(b) != string(harness.Body(f.kept[i], fullObject)) {
			return fmt.Errorf("%s: %d bytes of %s: %w", when, len(b), f.kept[i], err)
		}
		return nil
	})
}

// remove deletes some objects.
func (f *full) remove(n int) {
	f.t.Helper()
	for range n {
		key := f.kept[0]
		f.kept = f.kept[1:]
		if _, err := f.c.DeleteObject(f.t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)}); err != nil {
			f.t.Fatalf("delete %s: %v", key, err)
		}
	}
}

// roomAgain waits until so many PUTs in a row are taken.
func (f *full) roomAgain(n int) {
	f.t.Helper()
	deadline := time.After(fullAgain)
	for got := 0; got < n; {
		if err := f.put(); err == nil {
			got++
			continue
		}
		got = 0
		select {
		case <-deadline:
			f.t.Fatalf("there is no room %v after deletes", fullAgain)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// TestDisksFull: with one disk full, writes go on on the others; with all full a PUT is told so, GET and DELETE work, what was deleted
// makes room again; a server that is killed and started while all are full has everything.
func TestDisksFull(t *testing.T) {
	size := harness.Pick(160, 1500)
	f := newFull(t, size/2, size, size, size)
	taken := f.fill(3 * size)
	t.Logf("%d MiB were taken by file systems of %d and three times %d MiB", taken, size/2, size)
	if taken < size { // more than fits while the small one takes part in everything
		t.Errorf("only %d MiB were taken", taken)
	}
	f.check("full")
	f.s.Kill()
	f.s.Start()
	f.c = harness.Client(f.s.Endpoint)
	f.check("full, after a kill")
	n := len(f.kept) / 2
	f.remove(n)
	f.roomAgain(n / 4)
	f.check("with room again")
	f.fill(3 * size)
	f.remove(len(f.kept))
	f.roomAgain(n)
	f.check("after all")
}
