//go:build bones

package bones

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/contender/contender/conformance/harness"
)

// A page is one kind of LIST request.
type page struct {
	name string
	in   s3.ListObjectsV2Input
	want int // keys and prefixes in it
}

// few is how many keys the bucket has that others are compared to.
const few = 3000

// pages are those of a bucket whose keys inFolder names.
var pages = []page{
	{"keys", s3.ListObjectsV2Input{StartAfter: aws.String("t1/")}, 1000},
	{"folders", s3.ListObjectsV2Input{Prefix: aws.String("t1/"), Delimiter: aws.String("/")}, 1000},
	{"folders of ten", s3.ListObjectsV2Input{Prefix: aws.String("t2/"), Delimiter: aws.String("/"), MaxKeys: aws.Int32(100)}, 100},
	{"top", s3.ListObjectsV2Input{Delimiter: aws.String("/")}, 3},
}

// inFolder names the i-th of n keys: three folders at the top; in two of them a folder for each key, in the last one for
// each ten. So a page can be keys, folders, or the top alone.
func inFolder(i, n int) string {
	top, at := i/(n/3), i%(n/3)
	if top == 2 {
		return fmt.Sprintf("t2/d%07d/object%d", at/10, at%10)
	}
	return fmt.Sprintf("t%d/d%07d/object", top, at)
}

// fill makes a bucket of n keys.
func fill(t *testing.T, s *harness.Server, name string, n int, key func(i int) string) {
	t.Helper()
	fillWith(t, s, name, n, []byte("x"), key)
}

func fillWith(t *testing.T, s *harness.Server, name string, n int, body []byte, key func(i int) string) {
	t.Helper()
	harness.CreateBucket(t, harness.Client(s.Endpoint), name)
	harness.Fill(t, s.Endpoint, name, n, body, key)
}

// comparison asks for the same pages of two buckets in turns.
type comparison struct {
	t             *testing.T
	server        *harness.Server
	client        *s3.Client
	first, second string
	most          float64 // how many times as much a page of the second may cost, at full size
}

// compare fails if the server's CPU for a page of the second bucket is more than so many times that of the first: the
// median of several samples. At small size there is one, on a busy machine, and it may be twice that.
func (c *comparison) compare(p page) {
	c.t.Helper()
	most := c.most * float64(harness.Pick(2, 1))
	n := 20 // pages at a time
	if p.want < 1000 {
		n = 200
	}
	c.ask(p, c.first, n) // warm
	c.ask(p, c.second, n)
	var samples []sample
	for range harness.Pick(1, 7) {
		samples = append(samples, c.sample(p, n))
	}
	slices.SortFunc(samples, func(a, b sample) int { return cmp.Compare(a.ratio(), b.ratio()) })
	m := samples[len(samples)/2]
	c.t.Logf("%s: %.3f ms of CPU a page of %s, %.3f ms of %s, %.2f times (%.2f to %.2f)", p.name, 1000*m.first, c.first,
		1000*m.second, c.second, m.ratio(), samples[0].ratio(), samples[len(samples)-1].ratio())
	if m.ratio() > most {
		c.t.Errorf("%s: a page of %s costs %.2f times as much as of %s, want at most %.1f", p.name, c.second, m.ratio(), c.first, most)
	}
}

// sample is what a page of each bucket took of the server's CPU, in seconds.
type sample struct{ first, second float64 }

func (s sample) ratio() float64 { return s.second / s.first }

// sample asks in turns, n pages at a time, until it has seen enough.
func (c *comparison) sample(p page, n int) sample {
	c.t.Helper()
	var s sample
	enough := float64(harness.Pick(3, 8)) / 10
	rounds := 0
	for ; s.first < enough; rounds++ {
		if rounds%2 == 0 {
			s.first += c.ask(p, c.first, n)
			s.second += c.ask(p, c.second, n)
		} else {
			s.second += c.ask(p, c.second, n)
			s.first += c.ask(p, c.first, n)
		}
	}
	s.first, s.second = s.first/float64(n*rounds), s.second/float64(n*rounds)
	return s
}

// ask asks for a page n times and returns the server's CPU for them, in seconds.
func (c *comparison) ask(p page, bucket string, n int) float64 {
	c.t.Helper()
	before := harness.CPUSeconds(c.t, c.server.Pid())
	for range n {
		in := p.in
		in.Bucket = aws.String(bucket)
		out, err := c.client.ListObjectsV2(c.t.Context(), &in)
		if err != nil {
			c.t.Fatal(err)
		}
		if got := len(out.Contents) + len(out.CommonPrefixes); got != p.want {
			c.t.Fatalf("%s of %s: %d entries, want %d", p.name, bucket, got, p.want)
		}
	}
	return harness.CPUSeconds(c.t, c.server.Pid()) - before
}

// compareAll compares the usual pages.
func compareAll(t *testing.T, s *harness.Server, first, second string, most float64) {
	t.Helper()
	c := &comparison{t, s, harness.Client(s.Endpoint), first, second, most}
	for _, p := range pages {
		c.compare(p)
	}
}

// TestListCost compares the pages of a small bucket with those of a large one.
func TestListCost(t *testing.T) {
	s := harness.New(t, 4)
	s.Start()
	many := harness.Pick(12_000, 60_000) / 3 * 3
	fill(t, s, "few", few, func(i int) string { return inFolder(i, few) })
	fill(t, s, "many", many, func(i int) string { return inFolder(i, many) })
	compareAll(t, s, "few", "many", 1.5)
}

// TestListCostAfterDeletes compares the pages of a small bucket with those of one of the same keys in which many others
// were deleted, just before, in front of those that are left.
func TestListCostAfterDeletes(t *testing.T) {
	s := harness.New(t, 4)
	s.Start()
	many := harness.Pick(15_000, 1_000_000-few) / 3 * 3
	gone := func(i int) string { return fmt.Sprintf("t%d/a%07d/object", i%3, i/3) }
	fill(t, s, "few", few, func(i int) string { return inFolder(i, few) })
	fill(t, s, "deleted", few+many, func(i int) string {
		if i < few {
			return inFolder(i, few)
		}
		return gone(i - few)
	})
	harness.Empty(t, harness.Client(s.Endpoint), "deleted", many, gone)
	compareAll(t, s, "few", "deleted", 3)
}
