//go:build nodes

package nodes

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/contender/contender/conformance/harness"
)

// sameBytes compares an object with the stream of its key, without holding either.
func sameBytes(t *testing.T, c *s3.Client, key string, size int64) {
	t.Helper()
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	if got := aws.ToInt64(out.ContentLength); got != size {
		t.Fatalf("%s has %d bytes, want %d", key, got, size)
	}
	want := harness.Stream(key)
	a, b := make([]byte, 1<<20), make([]byte, 1<<20)
	for left := size; left > 0; {
		n := min(left, int64(len(a)))
		_, err := io.ReadFull(out.Body, a[:n])
		if _, e := io.ReadFull(want, b[:n]); err != nil || e != nil || !bytes.Equal(a[:n], b[:n]) {
			t.Fatalf("%s, %d bytes before its end: not what was written (%v)", key, left, err)
		}
		left -= n
	}
}

// paced is a reader that calls a function after so many bytes.
type paced struct {
	io.Reader
	at   int64
	then func()
}

func (p *paced) Read(b []byte) (int, error) {
	if p.at <= 0 && p.then != nil {
		p.then()
		p.then = nil
	}
	n, err := p.Reader.Read(b)
	p.at -= int64(n)
	return n, err
}

// TestMemberDiesInPut: of five nodes one is killed in the middle of a large PUT through another one. The client is told 200, the
// object is whole, and it has its full parity on nodes that live.
func TestMemberDiesInPut(t *testing.T) {
	c := start(t, 5, 2)
	all := clients(c)
	harness.CreateBucket(t, all[0], bucket)
	size := int64(harness.Pick(200<<20, 1<<30))
	for round := range harness.Pick(1, 4) {
		victim, key := 1+round%4, fmt.Sprintf("large/%d", round)
		body := &paced{io.LimitReader(harness.Stream(key), size), size / 2, func() { c.Kill(victim) }}
		if err := harness.Upload(t.Context(), harness.PresignedPut(t, all[0], bucket, key), body, size); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		e := explain(t, c.Nodes[0], key)
		if !e.Readable {
			t.Errorf("round %d: not readable: %+v", round, e)
		}
		early := 0 // extents that were whole before the kill may have a shard on the node that died
		for _, x := range e.Extents {
			lost := 0
			for _, s := range x.Shards {
				if s.Node == c.Nodes[victim].Name {
					lost++
				}
			}
			early += min(1, lost)
			if lost > 1 || !strings.HasSuffix(x.Coding, "+2") {
				t.Errorf("round %d: an extent of coding %s has %d shards on the node that died", round, x.Coding, lost)
			}
		}
		if early == len(e.Extents) {
			t.Errorf("round %d: each of %d extents has a shard on the node that died in the middle", round, early)
		}
		sameBytes(t, all[0], key, size)
		c.Nodes[victim].Start()
		c.WaitStatus(0, "tolerates.node=2", healMax)
		sameBytes(t, all[victim], key, size)
	}
}

// metric sums a counter over all nodes.
func metric(t *testing.T, c *harness.Cluster, name string) (sum float64) {
	t.Helper()
	for _, s := range c.Nodes {
		resp, err := http.Get(s.Endpoint + "/-/metrics")
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
				n, err := strconv.ParseFloat(value, 64)
				if err != nil {
					t.Fatal(err)
				}
				sum += n
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	return sum
}

// TestOrphans: a front-end is killed in the middle of large PUTs, so that nobody is left who knows of the extents that are
// durable already. With a grace of seconds, they are found and deleted, by the node that has them; nothing acknowledged is
// touched, whether it was written before or meanwhile.
func TestOrphans(t *testing.T) {
	const (
		extent = 64 << 20
		size   = 5 * extent / 2
		slice  = extent / 2 * 3 // of an extent, coded 2+1
	)
	c := start(t, 3, 1, "--orphan-grace=10s", "--delete-delay=1s")
	all := clients(c)
	harness.CreateBucket(t, all[0], bucket)
	const objects = 20
	put := func(round int) {
		harness.Each(t, 4, objects, func(i int) error {
			key := fmt.Sprintf("kept/%d/%d", round, i)
			for began := time.Now(); ; { // one that takes longer than the grace is refused
				err := harness.Put(t.Context(), all[i%3], bucket, key, harness.Body(key, objectSizes[i%4]))
				if err == nil || time.Since(began) > goOnMax {
					return err
				}
			}
		})
	}
	rounds := harness.Pick(1, 10)
	for round := range rounds {
		front, key, before := c.AddFrontEnd(), fmt.Sprintf("lost/%d", round), metric(t, c, "contender_orphan_bytes_deleted_total")
		reached := make(chan struct{})
		ended := make(chan error, 1)
		r, w := io.Pipe()
		go func() {
			body := &paced{io.MultiReader(io.LimitReader(harness.Stream(key), size-1), r), size - 1, func() { close(reached) }}
			ended <- harness.Upload(t.Context(), harness.PresignedPut(t, harness.Client(front.Endpoint), bucket, key), body, size)
		}()
		<-reached // two extents are whole, since a sender keeps little back
		put(round)
		front.Kill()
		w.Close()
		if err := <-ended; err == nil {
			t.Fatal("a PUT was answered by a front-end that was killed")
		}
		began := time.Now()
		await(t, "the orphans are gone", healMax, func() bool {
			return metric(t, c, "contender_orphan_bytes_deleted_total")-before >= 2*slice
		})
		t.Logf("round %d: orphans are gone after %v", round, time.Since(began))
		if err := harness.Put(t.Context(), all[0], bucket, key, nil); err != nil {
			t.Errorf("the key of a write that came to nothing: %v", err)
		}
	}
	for round := range rounds {
		harness.Each(t, 4, objects, func(i int) error {
			return check(t.Context(), all[i%3], fmt.Sprintf("kept/%d/%d", round, i), objectSizes[i%4])
		})
	}
}

// memoryMostMiB is what a node may take while many large objects are written and read at once.
const memoryMostMiB = 500

// TestMemory: many large objects are put, and then got, at once, through all nodes: none takes more memory than it may.
func TestMemory(t *testing.T) {
	c := start(t, 3, 1, "--delete-delay=1s")
	all := clients(c)
	harness.CreateBucket(t, all[0], bucket)
	size := int64(harness.Pick(8<<20, 256<<20))
	const parallel = 64
	most := func(what string) {
		t.Helper()
		for _, s := range c.Nodes {
			peak := harness.MemoryMiB(t, s.Pid(), "VmHWM")
			t.Logf("%s of %d MiB, %d at once: %s took %d MiB at most", what, size>>20, parallel, s.Name, peak)
			if peak > memoryMostMiB {
				t.Errorf("%s: %s took %d MiB, want at most %d", what, s.Name, peak, memoryMostMiB)
			}
		}
	}
	key := func(i int) string { return fmt.Sprintf("large/%02d", i) }
	harness.Each(t, parallel, parallel, func(i int) error {
		return harness.Upload(t.Context(), harness.PresignedPut(t, all[i%3], bucket, key(i)), io.LimitReader(harness.Stream(key(i)), size), size)
	})
	most("PUTs")
	harness.Each(t, parallel, parallel, func(i int) error {
		sameBytes(t, all[(i+1)%3], key(i), size)
		return nil
	})
	most("GETs")
}
