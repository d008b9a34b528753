package node

import (
	"bytes"
	"crypto/md5" //nolint:gosec // S3's ETag
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/contender/contender/gateway/admin"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/objectlayer"
)

// TestBucketPolicy: objects are coded as their bucket says at the time; a policy that the cluster can't keep is refused with the
// reason; and with too few nodes left for the parity a bucket refuses writes, or takes them with less, as it was told.
func TestBucketPolicy(t *testing.T) {
	c := newCluster(t, 5)
	s := c.nodes[0]
	s.createBucket()
	c.awaitSpread(2)
	large := bytes.Repeat([]byte("l"), 300_000)
	set := func(policy string, short bool) (admin.Bucket, error) {
		return c.nodes[1].SetBucket(t.Context(), admin.BucketRequest{Name: testBucket, Policy: policy, Short: &short})
	}
	for _, x := range []struct{ policy, coding string }{
		{"auto", "2+2"}, {"replica:2", "1+1"}, {"ec:2+1", "2+1"}, {"replica:4", "1+3"}, {"ec:3+1", "3+1"}, {"ec:4+1", "4+1"}, {"ec:2+3", "2+3"}, {"auto", "2+2"},
	} {
		if b, err := set(x.policy, false); err != nil || b.Policy != x.policy || b.Coding != x.coding || b.Short {
			t.Fatalf("%s: %+v, %v", x.policy, b, err)
		}
		for _, y := range c.nodes {
			await(t, "the groups are known", func() bool {
				m := y.topology.Map()
				return !slices.Contains(m.Wide, x.policy) || slices.ContainsFunc(m.Groups, func(g clustermap.Group) bool { return g.For == x.policy })
			})
		}
		for i, by := range c.nodes {
			by.mustPut("k", large) // by which it hears of the change
			by.mustPut("k", large)
			if e := s.explain("k"); len(e.Extents) != 1 || e.Extents[0].Coding != x.coding || !spreads(e) || !e.Whole {
				t.Errorf("%s by node %d: %+v", x.policy, i, e.Extents)
			}
		}
		s.mustGet("k", large)
	}
	for policy, says := range map[string]string{"ec:4+2": "domains", "replica:6": "domains", "ec:0+1": "at least one", "best": "want auto"} {
		var refused *admin.RequestError
		if _, err := set(policy, false); !errors.As(err, &refused) || refused.Kind != admin.Invalid || !strings.Contains(refused.Text, says) {
			t.Errorf("%s: %v, want something about %s", policy, err, says)
		}
	}
	if b, err := s.Bucket(t.Context(), testBucket); err != nil || b.Policy != "auto" || b.Versioning != "never" {
		t.Errorf("after refusals: %+v, %v", b, err)
	}
	var refused *admin.RequestError
	if _, err := s.Bucket(t.Context(), "no-such-bucket"); !errors.As(err, &refused) || refused.Kind != admin.NotFound {
		t.Errorf("a bucket that is not there: %v", err)
	}

	if _, err := set("replica:4", false); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{3, 4} {
		if err := c.nodes[i].close(); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "writes are refused", func() bool { return s.put("k", large) != nil })
	short := true
	await(t, "writes are allowed", func() bool {
		_, err := s.SetBucket(t.Context(), admin.BucketRequest{Name: testBucket, Short: &short})
		return err == nil
	})
	s.mustPut("k", large)
	s.mustPut("k", large)
	if e := s.explain("k"); e.Extents[0].Coding != "1+2" || !e.Readable {
		t.Errorf("written short: %+v", e.Extents)
	}
	if b, err := s.keeping.Get(t.Context(), testBucket); err != nil || b.Placement != (objectlayer.Placement{Policy: "replica:4", Short: true}) {
		t.Errorf("%+v, %v", b.Placement, err)
	}
}

// TestBucketCompression: a bucket that is told to compresses what comes from then on, through every node; sizes, ETags and ranges
// are of what was written; and CreateBucket takes a header that says so.
func TestBucketCompression(t *testing.T) {
	c := newCluster(t, 3)
	s := c.nodes[0]
	_, err := s.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(testBucket)}, func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions, smithyhttp.AddHeaderValue("X-Contender-Compress", "zstd"))
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("other")}, func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions, smithyhttp.AddHeaderValue("X-Contender-Compress", "lz4"))
	})
	if err == nil || !strings.Contains(err.Error(), "InvalidArgument") {
		t.Errorf("a way to compress that nobody knows: %v", err)
	}
	large := bytes.Repeat([]byte("a line of a log\n"), 200_000)
	sum := md5.Sum(large)
	for _, how := range []string{"zstd", "s2", "none"} {
		if how != "zstd" {
			if b, err := c.nodes[1].SetBucket(t.Context(), admin.BucketRequest{Name: testBucket, Compress: how}); err != nil || b.Compress != how {
				t.Fatalf("%s: %+v, %v", how, b, err)
			}
		}
		for i, by := range c.nodes {
			key := fmt.Sprint(how, i)
			by.mustPut(key, large) // by which it hears of the change
			by.mustPut(key, large)
			c.nodes[(i+1)%3].mustGet(key, large)
			kept := int64(0)
			for _, x := range s.explain(key).Extents {
				kept += x.Length
			}
			if small := kept < int64(len(large))/4; small != (how != "none") {
				t.Errorf("%s by node %d: %d of %d bytes are kept", how, i, kept, len(large))
			}
			out, err := s.client.GetObject(t.Context(), &s3.GetObjectInput{
				Bucket: aws.String(testBucket), Key: aws.String(key), Range: aws.String("bytes=1000001-2000000"),
			})
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(out.Body)
			if err != nil || !bytes.Equal(got, large[1000001:2000001]) || aws.ToString(out.ETag) != fmt.Sprintf("%q", hex.EncodeToString(sum[:])) {
				t.Errorf("%s: %d bytes, ETag %s, %v", how, len(got), aws.ToString(out.ETag), err)
			}
		}
	}
}
