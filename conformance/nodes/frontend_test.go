//go:build nodes

package nodes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/contender/contender/conformance/harness"
)

// frontEndWorkers put and read through front-ends at once.
const frontEndWorkers = 12

// TestFrontEnds: three front-ends alone before five nodes. One is killed again and again in the middle of requests: whatever
// fails is repaired by a retry through another, everything acknowledged is right, and nothing else is there. Then each request
// of one upload, and of one listing, goes through another front-end, and all of them die in between: none keeps anything.
func TestFrontEnds(t *testing.T) {
	c := start(t, 5, 2)
	harness.CreateBucket(t, harness.Client(c.Nodes[0].Endpoint), bucket)
	f := &frontEnds{t: t}
	for range 3 {
		s := c.AddFrontEnd()
		f.servers = append(f.servers, s)
		f.clients = append(f.clients, harness.Client(s.Endpoint))
	}
	st := c.Status(0)
	var names []string
	for _, x := range st.FrontEnds {
		names = append(names, x.Name)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"front1", "front2", "front3"}) || len(st.Nodes) != 5 {
		t.Errorf("the status names the front-ends %v and %d nodes", names, len(st.Nodes))
	}

	stop := f.load()
	for round := range harness.Pick(4, 40) {
		one := f.servers[round%3]
		before := f.done.Load()
		await(t, "the load goes on", goOnMax, func() bool { return f.done.Load() >= before+int64(20+rand.IntN(100)) })
		one.Kill()
		before = f.done.Load()
		await(t, "the load goes on without one", goOnMax, func() bool { return f.done.Load() >= before+20 })
		one.Start()
	}
	objects := stop()
	t.Logf("%d operations, %d of them after a retry; %d objects", f.done.Load(), f.retried.Load(), len(objects))
	if f.retried.Load() == 0 {
		t.Error("no request was in the middle of a kill")
	}
	f.listing(objects)
	f.upload()
	await(t, "the front-ends that died are forgotten", healMax, func() bool { return len(c.Status(1).FrontEnds) == 3 })
}

// frontEnds are used in turn.
type frontEnds struct {
	t             *testing.T
	servers       []*harness.Server
	clients       []*s3.Client
	done, retried atomic.Int64
}

// restart kills all front-ends and starts them anew.
func (f *frontEnds) restart() {
	for _, s := range f.servers {
		s.Kill()
	}
	for _, s := range f.servers {
		s.Start()
	}
}

// load has objects of all sizes written and read until stop, which returns their sizes by key.
func (f *frontEnds) load() (stop func() map[string]int) {
	ctx, cancel := context.WithCancel(f.t.Context())
	objects := map[string]int{}
	var mu sync.Mutex
	var workers sync.WaitGroup
	for w := range frontEndWorkers {
		workers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key, size := fmt.Sprintf("load/%02d/%06d", w, i), []int{1 << 10, 100 << 10, 3 << 20}[i%10/4]
				err := f.through(func(c *s3.Client) error { return harness.Put(f.t.Context(), c, bucket, key, harness.Body(key, size)) })
				if err == nil {
					err = f.through(func(c *s3.Client) error { return check(f.t.Context(), c, key, size) })
				}
				if err != nil {
					f.t.Error(err)
					return
				}
				mu.Lock()
				objects[key] = size
				mu.Unlock()
				f.done.Add(2)
			}
		})
	}
	return func() map[string]int {
		cancel()
		workers.Wait()
		return objects
	}
}

// through makes a request through one of the front-ends, and through the next if that fails: one at most is dead.
func (f *frontEnds) through(request func(*s3.Client) error) (err error) {
	first := rand.IntN(3)
	for i := range 2 {
		if err = request(f.clients[(first+i)%3]); err == nil {
			return nil
		}
		f.retried.Add(1)
	}
	return err
}

// listing checks that a listing page by page, each through another front-end, names all objects and no other.
func (f *frontEnds) listing(objects map[string]int) {
	var keys []string
	var token *string
	for page := 0; ; page++ {
		out, err := f.clients[page%3].ListObjectsV2(f.t.Context(), &s3.ListObjectsV2Input{
			Bucket: aws.String(bucket), Prefix: aws.String("load/"), MaxKeys: aws.Int32(50), ContinuationToken: token,
		})
		if err != nil {
			f.t.Fatal(err)
		}
		for _, o := range out.Contents {
			keys = append(keys, *o.Key)
			if size, ok := objects[*o.Key]; !ok || int64(size) != *o.Size {
				f.t.Errorf("the listing has %s of %d bytes; acknowledged: %v, %d", *o.Key, *o.Size, ok, size)
			}
		}
		if page == 1 {
			f.restart()
		}
		if token = out.NextContinuationToken; token == nil {
			break
		}
	}
	if len(keys) != len(objects) {
		f.t.Errorf("the listing has %d keys of %d", len(keys), len(objects))
	}
	harness.Each(f.t, 4, len(keys), func(i int) error { return check(f.t.Context(), f.clients[i%3], keys[i], objects[keys[i]]) })
}

// upload makes an object of parts, each request through another front-end, all of which die in between.
func (f *frontEnds) upload() {
	const key, part = "parts", 5 << 20
	ctx := f.t.Context()
	u, err := f.clients[0].CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	if err != nil {
		f.t.Fatal(err)
	}
	body := harness.Body(key, 3*part)
	var parts []types.CompletedPart
	for i := range 3 {
		f.restart()
		p, err := f.clients[(i+1)%3].UploadPart(ctx, &s3.UploadPartInput{
			Bucket: aws.String(bucket), Key: aws.String(key), UploadId: u.UploadId, PartNumber: aws.Int32(int32(i + 1)),
			Body: bytes.NewReader(body[i*part : (i+1)*part]),
		})
		if err != nil {
			f.t.Fatal(err)
		}
		parts = append(parts, types.CompletedPart{ETag: p.ETag, PartNumber: aws.Int32(int32(i + 1))})
	}
	f.restart()
	for i := range 2 { // the second as a client does who has not heard of the first
		out, err := f.clients[1+i].CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: aws.String(bucket), Key: aws.String(key), UploadId: u.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		})
		if err != nil || !strings.HasSuffix(aws.ToString(out.ETag), "-3\"") {
			f.t.Fatalf("complete, time %d: %v", i+1, errors.Join(err, fmt.Errorf("etag %q", aws.ToString(out.ETag))))
		}
	}
	if err := check(ctx, f.clients[0], key, len(body)); err != nil {
		f.t.Error(err)
	}
}
