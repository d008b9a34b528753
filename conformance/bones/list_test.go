//go:build bones

package bones

import (
	"fmt"
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
	{"top", s3.ListObjectsV2Input{Delimiter: aws.String("/")}, 3},
}

// inFolder names the i-th of n keys: three folders at the top, a folder for each key in them. So a page can be keys,
// folders, or the top alone.
func inFolder(i, n int) string { return fmt.Sprintf("t%d/d%07d/object", i/(n/3), i%(n/3)) }

// fill makes a bucket of n keys.
func fill(t *testing.T, c *s3.Client, name string, n int, key func(i int) string) {
	t.Helper()
	harness.CreateBucket(t, c, name)
	harness.Each(t, 48, n, func(i int) error { return harness.Put(t.Context(), c, name, key(i), []byte("x")) })
}

// compare asks for the same pages of two buckets in turns, and fails if the server's CPU for a page of the second is more
// than so many times that of the first.
func compare(t *testing.T, s *harness.Server, c *s3.Client, p page, first, second string, most float64) {
	t.Helper()
	spent := map[string]float64{}
	count := 0
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
	ask(first, n) // warm
	ask(second, n)
	clear(spent)
	for round := 0; spent[first] < float64(harness.Pick(8, 15))/10 && round < 200; round++ {
		for i := range 2 {
			ask([]string{first, second}[(round+i)%2], n)
		}
		count += n
	}
	ratio := spent[second] / spent[first]
	t.Logf("%s: %.3f ms of CPU a page of %s, %.3f ms of %s, %.2f times", p.name,
		1000*spent[first]/float64(count), first, 1000*spent[second]/float64(count), second, ratio)
	if ratio > most {
		t.Errorf("%s: a page of %s costs %.2f times as much as of %s, want at most %.1f", p.name, second, ratio, first, most)
	}
}

// TestListCost compares the pages of a small bucket with those of a large one.
func TestListCost(t *testing.T) {
	s := harness.New(t, 4)
	s.Start()
	c := harness.Client(s.Endpoint)
	many := harness.Pick(12_000, 60_000) / 3 * 3
	fill(t, c, "few", few, func(i int) string { return inFolder(i, few) })
	fill(t, c, "many", many, func(i int) string { return inFolder(i, many) })
	for _, p := range pages {
		compare(t, s, c, p, "few", "many", 1.5)
	}
}

// TestListCostAfterDeletes compares the pages of a small bucket with those of one of the same keys in which many others
// were deleted, just before, in front of those that are left.
func TestListCostAfterDeletes(t *testing.T) {
	s := harness.New(t, 4)
	s.Start()
	c := harness.Client(s.Endpoint)
	many := harness.Pick(15_000, 1_000_000-few) / 3 * 3
	gone := func(i int) string { return fmt.Sprintf("t%d/a%07d/object", i%3, i/3) }
	fill(t, c, "few", few, func(i int) string { return inFolder(i, few) })
	fill(t, c, "deleted", few+many, func(i int) string {
		if i < few {
			return inFolder(i, few)
		}
		return gone(i - few)
	})
	harness.Each(t, 48, many, func(i int) error {
		_, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("deleted"), Key: aws.String(gone(i))})
		return err
	})
	for _, p := range pages {
		compare(t, s, c, p, "few", "deleted", 3)
	}
}
