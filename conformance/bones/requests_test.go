//go:build bones

package bones

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/contender/contender/conformance/harness"
)

// TestOneWinner has 64 writers put one key with If-None-Match: *, many times over: one wins each time, the others are told
// so, and the object is the winner's.
func TestOneWinner(t *testing.T) {
	const writers = 64
	s := harness.New(t, 4)
	s.Start()
	c := harness.Client(s.Endpoint)
	harness.CreateBucket(t, c, bucket)
	for round := range harness.Pick(10, 100) {
		key := fmt.Sprintf("contested/%03d", round)
		size := []int{1 << 10, 100 << 10}[round%2]
		var mu sync.Mutex
		var wg sync.WaitGroup
		var winners []int
		start := make(chan struct{})
		for w := range writers {
			wg.Go(func() {
				<-start
				_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
					Bucket: aws.String(bucket), Key: aws.String(key), IfNoneMatch: aws.String("*"),
					Body: bytes.NewReader(harness.Body(fmt.Sprint(w), size)),
				})
				mu.Lock()
				defer mu.Unlock()
				var answer *smithyhttp.ResponseError
				switch {
				case err == nil:
					winners = append(winners, w)
				case errors.As(err, &answer) && (answer.HTTPStatusCode() == http.StatusPreconditionFailed || answer.HTTPStatusCode() == http.StatusConflict):
				default:
					t.Errorf("round %d, writer %d: %v", round, w, err)
				}
			})
		}
		close(start)
		wg.Wait()
		if len(winners) != 1 {
			t.Fatalf("round %d: winners %v, want one", round, winners)
		}
		b, err := harness.Get(t.Context(), c, bucket, key)
		if err != nil || !bytes.Equal(b, harness.Body(fmt.Sprint(winners[0]), size)) {
			t.Fatalf("round %d: the object is not the winner's (%v)", round, err)
		}
	}
}

// A page is one kind of LIST request.
type page struct {
	name string
	in   s3.ListObjectsV2Input
	want int // keys and prefixes in it
}

// TestListCost asks for the same pages of a small bucket and of a large one in turns, and compares the server's CPU.
func TestListCost(t *testing.T) {
	const few, ratioMost = 3000, 1.5
	many := harness.Pick(12_000, 60_000)
	s := harness.New(t, 4)
	s.Start()
	c := harness.Client(s.Endpoint)
	// Three folders at the top, a folder for each key in them: a page can be keys, folders, or the top alone.
	key := func(i, n int) string { return fmt.Sprintf("t%d/d%05d/object", i/(n/3), i%(n/3)) }
	buckets := map[string]int{"few": few, "many": many / 3 * 3}
	for name, n := range buckets {
		harness.CreateBucket(t, c, name)
		harness.Each(t, 48, n, func(i int) error { return harness.Put(t.Context(), c, name, key(i, n), []byte("x")) })
	}
	for _, p := range []page{
		{"keys", s3.ListObjectsV2Input{StartAfter: aws.String("t1/")}, 1000},
		{"folders", s3.ListObjectsV2Input{Prefix: aws.String("t1/"), Delimiter: aws.String("/")}, 1000},
		{"top", s3.ListObjectsV2Input{Delimiter: aws.String("/")}, 3},
	} {
		spent := map[string]float64{}
		pages := 0
		ask := func(name string, n int) {
			before := harness.CPUSeconds(t, s.Pid())
			for range n {
				in := p.in
				in.Bucket = aws.String(name)
				out, err := c.ListObjectsV2(t.Context(), &in)
				if err != nil {
					t.Fatal(err)
				}
				if got := len(out.Contents) + len(out.CommonPrefixes); got != p.want {
					t.Fatalf("%s of %s: %d entries, want %d", p.name, name, got, p.want)
				}
			}
			spent[name] += harness.CPUSeconds(t, s.Pid()) - before
		}
		n := 20
		if p.want < 100 {
			n = 200
		}
		ask("few", n) // warm
		ask("many", n)
		clear(spent)
		for round := 0; spent["few"] < float64(harness.Pick(8, 15))/10 && round < 200; round++ {
			for i := range 2 {
				ask([]string{"few", "many"}[(round+i)%2], n)
			}
			pages += n
		}
		ratio := spent["many"] / spent["few"]
		t.Logf("%s: %.3f ms of CPU a page at %d keys, %.3f ms at %d, %.2f times", p.name,
			1000*spent["few"]/float64(pages), few, 1000*spent["many"]/float64(pages), buckets["many"], ratio)
		if ratio > ratioMost {
			t.Errorf("%s: a page costs %.2f times as much at %d keys as at %d, want at most %.1f", p.name, ratio, buckets["many"], few, ratioMost)
		}
	}
}
