//go:build nodes

package nodes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/contender/contender/conformance/harness"
)

const (
	vanishers = 3 // buckets that are raced for at the same time
	deleters  = 2 // of each bucket
	putters   = 6
)

// A vanishing is one name that buckets are made and deleted under.
type vanishing struct {
	t     *testing.T
	c     *harness.Cluster
	nodes []*s3.Client
	name  string
	rand  *rand.Rand

	there, divided bool // there is a bucket; it lies in several ranges
	made           int  // buckets under that name so far
	start          int  // how many requests deletions are ahead of writes, such that either wins about as often
	tally          vanishTally
}

// vanishTally counts how rounds ended.
type vanishTally struct{ gone, stayed, goneDivided, stayedDivided, objects int }

// TestDeleteAgainstPuts: DeleteBucket races PUT of all sizes, copies and multipart uploads, through all nodes. Either the
// bucket stays, with every object that was acknowledged, or it is gone: then nothing was acknowledged, every write was told
// that there is no such bucket, through every node, and a bucket that is made again under the name is empty.
func TestDeleteAgainstPuts(t *testing.T) {
	c := start(t, 3, 1)
	nodes := clients(c)
	harness.CreateBucket(t, nodes[0], bucket)
	if err := harness.Put(t.Context(), nodes[0], bucket, "source", harness.Body("source", 2<<10)); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var all sync.WaitGroup
	var mu sync.Mutex
	var sum vanishTally
	for i := range vanishers {
		v := &vanishing{t: t, c: c, nodes: nodes, name: fmt.Sprintf("vanishing-%d", i), start: 5, rand: rand.New(rand.NewPCG(seed, uint64(i)))}
		all.Go(func() {
			for n := i; n < harness.Pick(60, 10_000) && !t.Failed(); n += vanishers {
				if err := v.round(n); err != nil {
					t.Errorf("%s, round %d: %v", v.name, n, err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			sum.add(v.tally)
		})
	}
	all.Wait()
	t.Logf("%+v", sum)
	if !t.Failed() && (sum.gone == 0 || sum.stayed == 0 || sum.goneDivided == 0 || sum.stayedDivided == 0) {
		t.Errorf("no race: %+v", sum)
	}
}

func (a *vanishTally) add(b vanishTally) {
	a.gone += b.gone
	a.stayed += b.stayed
	a.goneDivided += b.goneDivided
	a.stayedDivided += b.stayedDivided
	a.objects += b.objects
}

// node returns the client of any node.
func (v *vanishing) node() *s3.Client { return v.nodes[v.rand.IntN(len(v.nodes))] }

// round is one race, in a bucket that is empty before and after.
func (v *vanishing) round(n int) error {
	ctx, cancel := context.WithTimeout(v.t.Context(), requestMax)
	defer cancel()
	if !v.there {
		if err := v.create(ctx); err != nil {
			return err
		}
	}
	if v.rand.IntN(2) == 0 { // that all nodes remember it
		for _, c := range v.nodes {
			if _, err := harness.Get(ctx, c, v.name, "nothing"); code(err) != "NoSuchKey" {
				return fmt.Errorf("get an object that is not there: %w", err)
			}
		}
	}
	r := v.race(ctx, n)
	if r.deleted == 0 {
		return v.stayed(ctx, r)
	}
	return v.gone(ctx, r)
}

// create makes the bucket and judges that it is empty. Every so many it is cut in three ranges.
func (v *vanishing) create(ctx context.Context) error {
	if _, err := v.node().CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(v.name)}); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	v.there, v.divided = true, v.made%harness.Pick(4, 25) == 0
	v.made++
	if have, err := v.content(ctx); err != nil || len(have) > 0 {
		return fmt.Errorf("a new bucket holds %v (%w)", have, err)
	}
	for i := 0; v.divided && i < 2; i++ {
		if err := v.divide(ctx, []string{"h", "q"}[i]); err != nil {
			return err
		}
	}
	return nil
}

// divide splits the bucket at a key. That is refused while replicas are being exchanged.
func (v *vanishing) divide(ctx context.Context, key string) error {
	s := v.c.Nodes[v.rand.IntN(len(v.nodes))]
	for {
		out, err := s.Command(ctx, "range", "split", "--at", "s3://"+v.name+"/"+key, "--endpoint", s.Endpoint).CombinedOutput()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || !bytes.Contains(out, []byte("cannot be split there now")) {
			return fmt.Errorf("split at %s: %w: %s", key, err, out)
		}
	}
}

// content lists keys and uploads of the bucket.
func (v *vanishing) content(ctx context.Context) (list []string, err error) {
	objects, err := v.node().ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(v.name)})
	if err != nil {
		return nil, err
	}
	uploads, err := v.node().ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: aws.String(v.name)})
	if err != nil {
		return nil, err
	}
	for _, o := range objects.Contents {
		list = append(list, *o.Key)
	}
	for _, u := range uploads.Uploads {
		list = append(list, "upload of "+*u.Key)
	}
	return list, nil
}

// A vanishingRace is what those who took part were told.
type vanishingRace struct {
	mu       sync.Mutex
	deleted  int
	bodies   map[string][]byte // acknowledged
	tried    []string
	refusals []error // of deletions
	failures []error // of writes
}

// race has all write and delete at once.
func (v *vanishing) race(ctx context.Context, n int) *vanishingRace {
	r := &vanishingRace{bodies: map[string][]byte{}}
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i := range deleters + putters {
		c, late, kind := v.node(), v.rand.IntN(4), v.rand.IntN(12)
		key := fmt.Sprintf("%c/%d/%d", 'a'+v.rand.IntN(26), n, i)
		if i >= deleters {
			r.tried = append(r.tried, key)
			late += v.start
		}
		all.Go(func() {
			<-begin
			for range late {
				_, _ = c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String(bucket)})
			}
			if i < deleters {
				_, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String(v.name)})
				r.noteDeletion(err)
				return
			}
			body, err := v.write(ctx, c, key, kind)
			r.noteWrite(key, body, err)
		})
	}
	close(begin)
	all.Wait()
	return r
}

// write writes an object in one of several ways, and returns what it should hold.
func (v *vanishing) write(ctx context.Context, c *s3.Client, key string, kind int) ([]byte, error) {
	small := harness.Body(key, 1<<10)
	switch kind {
	case 0:
		body := harness.Body(key, 100<<10)
		return body, harness.Put(ctx, c, v.name, key, body)
	case 1:
		_, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String(v.name), Key: aws.String(key), CopySource: aws.String(bucket + "/source")})
		return harness.Body("source", 2<<10), err
	case 2, 3:
		return small, v.upload(ctx, c, key, small)
	}
	return small, harness.Put(ctx, c, v.name, key, small)
}

// upload writes an object of one part.
func (v *vanishing) upload(ctx context.Context, c *s3.Client, key string, body []byte) error {
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String(v.name), Key: aws.String(key)})
	if err != nil {
		return err
	}
	p, err := c.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: aws.String(v.name), Key: aws.String(key), UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(body),
	})
	if err != nil {
		return err
	}
	_, err = c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(v.name), Key: aws.String(key), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: p.ETag, PartNumber: aws.Int32(1)}}},
	})
	return err
}

func (r *vanishingRace) noteDeletion(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.deleted++
		return
	}
	r.refusals = append(r.refusals, err)
}

func (r *vanishingRace) noteWrite(key string, body []byte, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.bodies[key] = body
		return
	}
	r.failures = append(r.failures, err)
}

// only returns an error if one of a list has none of these codes.
func only(list []error, codes ...string) error {
	for _, err := range list {
		if !slices.Contains(codes, code(err)) {
			return err
		}
	}
	return nil
}

// code returns the S3 error code that was answered.
func code(err error) string {
	var e smithy.APIError
	if !errors.As(err, &e) {
		return ""
	}
	return e.ErrorCode()
}

// stayed judges a race after which the bucket must be there, with all that was acknowledged, and empties it.
func (v *vanishing) stayed(ctx context.Context, r *vanishingRace) error {
	if err := only(r.refusals, "BucketNotEmpty"); err != nil {
		return fmt.Errorf("a deletion that was not carried out: %w", err)
	}
	// A deletion gives up the uploads in a bucket that holds nothing else; it may be refused after that, because of an object.
	if err := only(r.failures, "NoSuchUpload"); err != nil {
		return fmt.Errorf("a write to a bucket that stayed: %w", err)
	}
	for key, body := range r.bodies {
		if b, err := harness.Get(ctx, v.node(), v.name, key); err != nil || !bytes.Equal(b, body) {
			return fmt.Errorf("%s was acknowledged and is read as %d bytes (%w)", key, len(b), err)
		}
	}
	have, err := v.content(ctx)
	if err != nil || len(have) != len(r.bodies) {
		return fmt.Errorf("%q are listed, %d were acknowledged (%w)", have, len(r.bodies), err)
	}
	v.start++
	v.tally.stayed++
	v.tally.objects += len(have)
	if v.divided {
		v.tally.stayedDivided++
	}
	for key := range r.bodies {
		if _, err := v.node().DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(v.name), Key: aws.String(key)}); err != nil {
			return fmt.Errorf("delete %s: %w", key, err)
		}
	}
	return nil
}

// gone judges a race after which the bucket must be gone, and that nothing was acknowledged.
func (v *vanishing) gone(ctx context.Context, r *vanishingRace) error {
	if len(r.bodies) > 0 {
		return fmt.Errorf("%d objects were acknowledged in a bucket that is gone", len(r.bodies))
	}
	if err := only(r.refusals, "NoSuchBucket"); err != nil {
		return fmt.Errorf("a deletion of a bucket that another deleted: %w", err)
	}
	if err := only(r.failures, "NoSuchBucket", "NoSuchUpload"); err != nil { // uploads are given up first
		return fmt.Errorf("a write to a bucket that went: %w", err)
	}
	for _, c := range v.nodes {
		if _, err := c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String(v.name)}); harness.StatusCode(err) != http.StatusNotFound {
			return fmt.Errorf("the bucket that is gone: %w", err)
		}
		key := r.tried[v.rand.IntN(len(r.tried))]
		if _, err := harness.Get(ctx, c, v.name, key); code(err) != "NoSuchBucket" {
			return fmt.Errorf("get %s from the bucket that is gone: %w", key, err)
		}
	}
	v.there, v.start = false, max(0, v.start-1)
	v.tally.gone++
	if v.divided {
		v.tally.goneDivided++
	}
	return nil
}
