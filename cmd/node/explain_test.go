package node

import (
	"bytes"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/contender/contender/gateway/admin"
)

// explain asks where an object lies.
func (s *server) explain(key string) admin.Explanation {
	s.t.Helper()
	e, err := s.Explain(s.t.Context(), testBucket, key, "")
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

// spreads reports whether each extent's shards lie on distinct nodes.
func spreads(e admin.Explanation) bool {
	for _, x := range e.Extents {
		seen := map[string]bool{}
		for _, s := range x.Shards {
			if s.Node == "" || s.Path == "" || seen[s.Node] {
				return false
			}
			seen[s.Node] = true
		}
	}
	return true
}

// TestExplain: where objects of all forms lie and what they survive; when a node dies what was written before says that it is
// not whole, and what is written then that it is, with all of its parity.
func TestExplain(t *testing.T) {
	c := newCluster(t, 4)
	s := c.nodes[0]
	s.createBucket()
	c.awaitSpread(1)
	s.mustPut("small", []byte("s"))
	large := bytes.Repeat([]byte("l"), 1<<20)
	s.mustPut("large", large)
	s.mustPut("empty", nil)
	s.multipart("parts", bytes.Repeat([]byte("p"), 5<<20), []byte("end"))
	for key, want := range map[string]struct {
		form    string
		extents int
		size    int64
	}{"small": {"inline", 0, 1}, "large": {"extents", 1, 1 << 20}, "empty": {"inline", 0, 0}, "parts": {"extents", 2, 5<<20 + 3}} {
		e := s.explain(key)
		if e.Form != want.form && (key != "empty" || e.Form != "none") || e.ExtentCount != want.extents || len(e.Extents) != want.extents || e.Size != want.size {
			t.Errorf("%s: %+v", key, e)
		}
		if !e.Whole || !e.Readable || e.Survives.Node != 1 || !spreads(e) || len(e.Range.Replicas) != 3 || !e.Latest || e.VersionID != "null" {
			t.Errorf("%s: %+v", key, e)
		}
		if key == "parts" && (e.Extents[0].Part != 1 || e.Extents[1].Part != 2) {
			t.Errorf("the parts' extents are %+v", e.Extents)
		}
	}
	before := s.explain("large").Extents[0]
	dead := -1
	for i, x := range c.nodes {
		if x != s && x.cfg.Name == before.Shards[0].Node || dead < 0 && x != s && x.cfg.Name == before.Shards[1].Node {
			dead = i
		}
	}
	if err := c.nodes[dead].close(); err != nil {
		t.Fatal(err)
	}
	await(t, "it is missed", func() bool { return !s.explain("large").Whole })
	e := s.explain("large")
	if !e.Readable || e.Survives.Node != 0 {
		t.Errorf("with a node dead: %+v", e)
	}
	states := map[string]int{}
	for _, x := range e.Extents[0].Shards {
		states[x.State]++
	}
	if states["up"] != len(before.Shards)-1 || states["unreachable"] != 1 {
		t.Errorf("its shards are %v", states)
	}
	s.mustPut("later", large)
	after := s.explain("later").Extents[0]
	for _, x := range after.Shards {
		if x.State != "up" {
			t.Errorf("written while a node is dead: %+v", after)
		}
	}
	if len(after.Shards) < 2 {
		t.Errorf("written while a node is dead: without parity: %+v", after)
	}
	var refused *admin.RequestError
	for _, q := range [][3]string{{"no-such-bucket", "k", ""}, {testBucket, "no such key", ""}} {
		if _, err := s.Explain(t.Context(), q[0], q[1], q[2]); !errors.As(err, &refused) || refused.Kind != admin.NotFound {
			t.Errorf("%v: %v", q, err)
		}
	}
}

// multipart makes an object of parts.
func (s *server) multipart(key string, bodies ...[]byte) {
	s.t.Helper()
	ctx := s.t.Context()
	u, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String(testBucket), Key: aws.String(key)})
	if err != nil {
		s.t.Fatal(err)
	}
	var parts []types.CompletedPart
	for i, b := range bodies {
		p, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: aws.String(testBucket), Key: aws.String(key), UploadId: u.UploadId, PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(b),
		})
		if err != nil {
			s.t.Fatal(err)
		}
		parts = append(parts, types.CompletedPart{ETag: p.ETag, PartNumber: aws.Int32(int32(i + 1))})
	}
	if _, err := s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(testBucket), Key: aws.String(key), UploadId: u.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	}); err != nil {
		s.t.Fatal(err)
	}
}
