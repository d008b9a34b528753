//go:build nodes

package nodes

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/contender/contender/conformance/harness"
)

const (
	answerMax  = 10 * time.Second // from a death to the first answer through each survivor
	attemptMax = 5 * time.Second  // of one request that waits for the first answer
	requestMax = 30 * time.Second // of one request when answers come again
	partBytes  = 6 << 20
)

// objectSizes go from nothing over inline and middle to large; the last one goes up in two parts.
var objectSizes = []int{0, 4 << 10, 100 << 10, 5 << 20, 2 * partBytes}

// store keeps which objects were acknowledged.
type store struct {
	mu   sync.Mutex
	have map[string]int // key to size
}

// put writes an object of each size through a node.
func (s *store) put(ctx context.Context, c *s3.Client, prefix string) error {
	for _, size := range objectSizes {
		key := fmt.Sprintf("%s/%d", prefix, size)
		ctx, cancel := context.WithTimeout(ctx, requestMax)
		err := putObject(ctx, c, key, size)
		cancel()
		if err != nil {
			return fmt.Errorf("put %s: %w", key, err)
		}
		s.mu.Lock()
		s.have[key] = size
		s.mu.Unlock()
	}
	return nil
}

// putObject writes an object, in parts if it has that size.
func putObject(ctx context.Context, c *s3.Client, key string, size int) error {
	b := harness.Body(key, size)
	if size != 2*partBytes {
		return harness.Put(ctx, c, bucket, key, b)
	}
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	if err != nil {
		return err
	}
	var parts []types.CompletedPart
	for i := range 2 {
		n := aws.Int32(int32(i + 1))
		p, err := c.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: aws.String(bucket), Key: aws.String(key), UploadId: up.UploadId, PartNumber: n, Body: bytes.NewReader(b[i*partBytes : (i+1)*partBytes]),
		})
		if err != nil {
			return err
		}
		parts = append(parts, types.CompletedPart{ETag: p.ETag, PartNumber: n})
	}
	_, err = c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(bucket), Key: aws.String(key), UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	return err
}

// checkAll reads all objects through a node.
func (s *store) checkAll(ctx context.Context, c *s3.Client) error {
	for key, size := range s.have {
		ctx, cancel := context.WithTimeout(ctx, requestMax)
		err := check(ctx, c, key, size)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// TestAnyTwoDie: of five nodes without older large objects any two die at once, the founder among them: the others answer
// within ten seconds, read everything that was there and write objects of all sizes. The two come back and catch up.
func TestAnyTwoDie(t *testing.T) {
	c := start(t, 5, 2)
	s := &store{have: map[string]int{}}
	harness.CreateBucket(t, harness.Client(c.Nodes[0].Endpoint), bucket)
	for i, client := range clients(c) {
		if err := s.put(t.Context(), client, fmt.Sprintf("before/%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	for round, dead := range pairs() {
		t.Run(fmt.Sprintf("round %d: nodes %v", round, dead), func(t *testing.T) { twoDie(t, c, s, round, dead) })
		if t.Failed() {
			return
		}
	}
}

// pairs returns which two nodes die in each round: all pairs of five in full runs, else two, the first with the founder.
func pairs() (list [][]int) {
	for i := range 5 {
		for j := i + 1; j < 5; j++ {
			list = append(list, []int{i, j})
		}
	}
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	slices.SortStableFunc(list, func(a, b []int) int { return min(a[0], 1) - min(b[0], 1) })
	if harness.Full() {
		return list
	}
	return [][]int{list[0], list[len(list)-1]}
}

func twoDie(t *testing.T, c *harness.Cluster, s *store, round int, dead []int) {
	c.Kill(dead...)
	died := time.Now()
	alive := map[int]*s3.Client{}
	for i, client := range clients(c) {
		if !slices.Contains(dead, i) {
			alive[i] = client
		}
	}
	atOnce(t, alive, func(i int, client *s3.Client) error { return firstAnswer(t, client, round, i, died) })
	atOnce(t, alive, func(i int, client *s3.Client) error {
		if err := s.put(t.Context(), client, fmt.Sprintf("round%d/%d", round, i)); err != nil {
			return fmt.Errorf("%v after the death: %w", time.Since(died), err)
		}
		return nil
	})
	atOnce(t, alive, func(_ int, client *s3.Client) error { return s.checkAll(t.Context(), client) })
	if t.Failed() {
		return
	}
	back := time.Now()
	c.Start()
	c.WaitStatus(dead[0], "healthy=true", healMax)
	c.WaitStatus(dead[1], "tolerates.node=2", healMax)
	t.Logf("caught up %v after their start", time.Since(back))
	returned := map[int]*s3.Client{}
	for _, i := range dead {
		returned[i] = clients(c)[i]
	}
	atOnce(t, returned, func(i int, client *s3.Client) error {
		if err := s.checkAll(t.Context(), client); err != nil {
			return err
		}
		return s.put(t.Context(), client, fmt.Sprintf("back%d/%d", round, i))
	})
}

// atOnce does something through several nodes at the same time.
func atOnce(t *testing.T, nodes map[int]*s3.Client, fn func(i int, c *s3.Client) error) {
	t.Helper()
	var wg sync.WaitGroup
	for i, c := range nodes {
		wg.Go(func() {
			if err := fn(i, c); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

// firstAnswer writes and reads through a node, again and again until both succeed, and tells how long after a death that
// was.
func firstAnswer(t *testing.T, c *s3.Client, round, node int, died time.Time) error {
	for try := 0; ; try++ {
		ctx, cancel := context.WithTimeout(t.Context(), attemptMax)
		key := fmt.Sprintf("first/%d/%d/%d", round, node, try)
		err := putObject(ctx, c, key, 4<<10)
		if err == nil {
			err = check(ctx, c, key, 4<<10)
		}
		cancel()
		took := time.Since(died)
		if err == nil {
			t.Logf("node %d answers %v after the death, by attempt %d", node, took, try+1)
		}
		if took > answerMax {
			return fmt.Errorf("the first answer came %v after the death, want at most %v: %w", took, answerMax, err)
		}
		if err == nil {
			return nil
		}
	}
}

// TestOlderObjectsAreTold: large objects from the days of one node are not spread yet, so the cluster does not claim to
// survive what they would not, and says how many bytes keep it from that. Without them it does survive it.
func TestOlderObjectsAreTold(t *testing.T) {
	c := harness.NewCluster(t, 5, 2)
	c.Nodes[0].Start()
	founder := harness.Client(c.Nodes[0].Endpoint)
	harness.CreateBucket(t, founder, bucket)
	s := &store{have: map[string]int{}}
	if err := s.put(t.Context(), founder, "old"); err != nil {
		t.Fatal(err)
	}
	c.Start()
	// Middle objects are copied to fewer disks than large ones are coded over, and count as well.
	below := 100<<10 + 5<<20 + 2*partBytes
	c.WaitStatus(3, fmt.Sprintf("bytes_below_policy=%d", below), spreadMax)
	st, err := c.Nodes[3].Status(t.Context(), "--wait", "tolerates.node=2", "--timeout", "3s")
	if err == nil {
		t.Fatalf("two nodes may be lost, it is said, with objects on one: %s", st.Text)
	}
	if !strings.Contains(err.Error(), "exit status 1") || !strings.Contains(err.Error(), "bytes_below_policy=") {
		t.Errorf("who waits is told: %v", err)
	}
	for _, client := range clients(c) {
		if err := s.checkAll(t.Context(), client); err != nil {
			t.Error(err)
		}
	}
	for key := range s.have {
		if _, err := founder.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)}); err != nil {
			t.Fatal(err)
		}
	}
	c.WaitStatus(3, "tolerates.node=2", spreadMax)
}
