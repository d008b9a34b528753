package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/contender/contender/disk/disktest"
)

// absent is the value of a key that does not exist; others are seeds of bodies.
const absent = ""

// A history is what clients know of the keys of a bucket: which values each may have. The first is the acknowledged one,
// those after it are of requests that got no answer before the power was cut.
type history struct {
	mu    sync.Mutex
	may   map[string][]string
	acked int
	cut   bool // the power is off: what is answered from now on counts as not answered
	off   chan struct{}
	after int // the power is cut once so many operations were answered
}

func newHistory() *history { return &history{may: map[string][]string{}, off: make(chan struct{})} }

// begin notes that a request may change a key.
func (h *history) begin(key, value string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.may[key]) == 0 {
		h.may[key] = []string{absent}
	}
	h.may[key] = append(h.may[key], value)
}

// done notes that a request was answered. Each key has one client, which waits for its answers.
func (h *history) done(key, value string, cut func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cut {
		return
	}
	h.may[key] = []string{value}
	if h.acked++; h.acked == h.after {
		h.cut = true
		cut()
		close(h.off)
	}
}

// powerLoss is one run: lives of a node on one file system, each ended by a power cut under load.
type powerLoss struct {
	t    *testing.T
	seed uint64
	rand *rand.Rand
	fs   *disktest.FS
	h    *history
}

const (
	powerLives   = 3
	powerWorkers = 6
	powerKeys    = 5 // of each worker
)

// TestPowerLoss is tier 2: a whole node, real in everything but disks, network and clock, loses its power under load,
// with what was not synced dropped and torn. Every acknowledged object is right afterwards, and LIST agrees with GET. A
// seed decides faults and load; the order of goroutines is Go's, so a seed repeats a failure usually, not always.
// CONTENDER_SEED runs one seed.
func TestPowerLoss(t *testing.T) {
	first, n := uint64(1), uint64(pick(4, 100))
	if s := os.Getenv("CONTENDER_SEED"); s != "" {
		var err error
		if first, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
		n = 1
	}
	answered := 0
	for seed := first; seed < first+n; seed++ {
		synctest.Test(t, func(t *testing.T) {
			x := &powerLoss{t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 2)), fs: disktest.NewFS(seed), h: newHistory()}
			for life := range powerLives {
				x.life(life)
			}
			x.verify()
			answered += x.h.acked
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d seeds, %d power cuts, %d acknowledged operations", n, n*powerLives, answered)
}

func (x *powerLoss) open() *server {
	p := newPipes()
	cfg := memoryConfig()
	cfg.DeleteDelay = time.Second
	return serveOn(x.t, cfg, memoryEnv(x.fs, p), p.transport())
}

// life serves until the power is cut, and leaves the file system as the cut did.
func (x *powerLoss) life(life int) {
	s := x.open()
	if life == 0 {
		s.createBucket()
	} else {
		x.check(s)
	}
	h := x.h
	h.cut, h.off, h.after = false, make(chan struct{}), h.acked+20+x.rand.IntN(120)
	cutSeed := x.rand.Uint64()
	var left *disktest.FS
	cut := func() { left = x.fs.Crash(rand.New(rand.NewPCG(cutSeed, 3))) }
	var wg sync.WaitGroup
	for w := range powerWorkers {
		r := rand.New(rand.NewPCG(x.rand.Uint64(), uint64(w)))
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-h.off:
					return
				default:
				}
				x.act(s, r, fmt.Sprintf("%d/%d", w, r.IntN(powerKeys)), fmt.Sprintf("v%d-%d-%d", life, w, i), cut)
				time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond) // virtual
			}
		})
	}
	wg.Wait()
	if err := s.close(); err != nil {
		x.t.Errorf("seed %d, life %d: close: %v", x.seed, life, err)
	}
	x.fs = left
}

// valueBody makes the bytes of a value; its size runs from nothing to several stripes.
func valueBody(value string) []byte {
	var sum int
	for _, c := range value {
		sum = sum*31 + int(c)
	}
	sizes := []int{0, 10, 1000, 4 << 10, 4 << 10, 16 << 10, 16<<10 + 1, 70 << 10, 300 << 10}
	return body(value, sizes[sum%len(sizes)])
}

// act does one operation and notes what came of it. Each key is one worker's.
func (x *powerLoss) act(s *server, r *rand.Rand, key, value string, cut func()) {
	ctx := x.t.Context()
	var err error
	switch n := r.IntN(20); {
	case n < 12:
		x.h.begin(key, value)
		err = s.put(key, valueBody(value))
	case n < 15:
		value = absent
		x.h.begin(key, value)
		_, err = s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(testBucket), Key: aws.String(key)})
	case n < 16:
		x.h.begin(key, value)
		err = x.multipart(ctx, s, key, valueBody(value))
	case n < 19:
		x.h.mu.Lock()
		may := x.h.may[key]
		x.h.mu.Unlock()
		if len(may) == 1 {
			x.read(s, key, may)
		}
		return
	default:
		if _, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(testBucket), Delimiter: aws.String("/")}); err != nil {
			x.t.Errorf("seed %d: list: %v", x.seed, err)
		}
		return
	}
	if err != nil {
		x.t.Errorf("seed %d: %s = %s: %v", x.seed, key, value, err)
		return
	}
	x.h.done(key, value, cut)
}

// multipart puts an object as an upload of one part, after a part of the same number that is replaced.
func (x *powerLoss) multipart(ctx context.Context, s *server, key string, b []byte) error {
	up, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String(testBucket), Key: aws.String(key)})
	if err != nil {
		return err
	}
	var etag *string
	for _, data := range [][]byte{[]byte("replaced"), b} {
		p, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: aws.String(testBucket), Key: aws.String(key), UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(data),
		})
		if err != nil {
			return err
		}
		etag = p.ETag
	}
	_, err = s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(testBucket), Key: aws.String(key), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: etag}}},
	})
	return err
}

// read returns which of its possible values a key has.
func (x *powerLoss) read(s *server, key string, may []string) string {
	b, err := s.get(key)
	var none *types.NoSuchKey
	gone := errors.As(err, &none)
	if err != nil && !gone {
		x.t.Errorf("seed %d: get %s: %v", x.seed, key, err)
		return absent
	}
	for _, v := range may {
		if v == absent && gone || v != absent && !gone && bytes.Equal(b, valueBody(v)) {
			return v
		}
	}
	x.t.Errorf("seed %d: %s has %d bytes (gone: %v), which none of its possible values %q has", x.seed, key, len(b), gone, may)
	return absent
}

// check reads every key after a restart; what is read becomes the only possible value. LIST must agree.
func (x *powerLoss) check(s *server) {
	listed := map[string]int64{}
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: aws.String(testBucket), MaxKeys: aws.Int32(7)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(x.t.Context())
		if err != nil {
			x.t.Fatalf("seed %d: list: %v", x.seed, err)
		}
		for _, o := range page.Contents {
			listed[*o.Key] = *o.Size
		}
	}
	for key, may := range x.h.may {
		v := x.read(s, key, may)
		x.h.may[key] = []string{v}
		size, ok := listed[key]
		if delete(listed, key); ok != (v != absent) || ok && size != int64(len(valueBody(v))) {
			x.t.Errorf("seed %d: %s: LIST says %d bytes (%v), GET found %q", x.seed, key, size, ok, v)
		}
	}
	if len(listed) > 0 {
		x.t.Errorf("seed %d: LIST shows keys that nobody put: %v", x.seed, listed)
	}
}

// verify starts a last time and checks everything twice: what was read once must stay.
func (x *powerLoss) verify() {
	s := x.open()
	x.check(s)
	x.check(s)
	if err := s.close(); err != nil {
		x.t.Errorf("seed %d: close: %v", x.seed, err)
	}
}
