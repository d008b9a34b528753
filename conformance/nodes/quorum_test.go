//go:build nodes

package nodes

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/contender/contender/conformance/harness"
)

// Bounds of a deletion when a range does not answer, and of a write to the other ranges right after it.
const (
	giveUpMax = 15 * time.Second
	thawMax   = 2 * time.Second
)

// A tornBucket is a bucket in four ranges, and two of four nodes without which a range of it has no quorum, but the range
// of the system records and another one of the bucket have one.
type tornBucket struct {
	name         string
	dead, alive  []int
	live, silent []string // a key of each range that keeps its quorum, and of each that does not
}

// TestDeleteWithoutQuorum: two of four nodes die, and with them the quorum of one range of a bucket. DeleteBucket through the
// others answers 503 in time, and then they take writes into its other ranges; when the two are back it is deleted. The same
// is shown in virtual time by cmd/node.
func TestDeleteWithoutQuorum(t *testing.T) {
	if !harness.Full() {
		t.Skip("in full runs only")
	}
	for range 3 { // each on other sets of replicas
		c := harness.StartCluster(t, 4, 1) // so few disks that there are no copysets: ranges lie as they come
		c.WaitStatus(0, "tolerates.node=1", spreadMax)
		b := tear(t, c, "torn")
		t.Logf("%+v", b)
		c.Kill(b.dead...)
		through := map[int]*s3.Client{}
		for _, i := range b.alive {
			through[i] = harness.Client(c.Nodes[i].Endpoint)
		}
		atOnce(t, through, func(_ int, client *s3.Client) error { return b.refuse(t, client) })
		atOnce(t, through, func(i int, client *s3.Client) error { return b.thawed(t.Context(), client, i) })
		if t.Failed() {
			return
		}
		c.Start()
		b.goes(t, c)
		c.KillAll()
	}
}

// tear makes a bucket and waits until replicas lie such that two nodes can be chosen.
func tear(t *testing.T, c *harness.Cluster, name string) *tornBucket {
	t.Helper()
	all := clients(c)
	harness.CreateBucket(t, all[0], name)
	for _, key := range []string{"h", "q", "u"} {
		await(t, "split at "+key, spreadMax, func() bool {
			s := c.Nodes[0]
			return s.Command(t.Context(), "range", "split", "--at", "s3://"+name+"/"+key, "--endpoint", s.Endpoint).Run() == nil
		})
	}
	for _, client := range all {
		if _, err := harness.Get(t.Context(), client, name, "nothing"); code(err) != "NoSuchKey" {
			t.Fatal(err)
		}
	}
	b := &tornBucket{name: name}
	await(t, "two nodes that can be chosen", spreadMax, func() bool { return b.choose(listRanges(t, c)) })
	return b
}

// shownRange is what is read of a range.
type shownRange struct {
	Start    *struct{ Bucket, Key string }
	Replicas []struct {
		Node                        string
		Learner, Incoming, Outgoing bool
	}
}

func listRanges(t *testing.T, c *harness.Cluster) []shownRange {
	t.Helper()
	s := c.Nodes[0]
	out, err := s.Command(t.Context(), "range", "ls", "--json", "--endpoint", s.Endpoint).Output()
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Ranges []shownRange }
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatal(err)
	}
	return list.Ranges
}

// choose finds two nodes to die, if there are two among the four.
func (b *tornBucket) choose(ranges []shownRange) bool {
	second := slices.IndexFunc(ranges, func(r shownRange) bool {
		return r.Start != nil && r.Start.Bucket == b.name && r.Start.Key == "h"
	})
	if second < 1 || second+2 >= len(ranges) {
		return false
	}
	mine := ranges[second-1 : second+3]
	for x := range 4 {
		for y := range x {
			b.dead, b.alive, b.live, b.silent = []int{x, y}, nil, nil, nil
			for i := range 4 {
				if i != x && i != y {
					b.alive = append(b.alive, i)
				}
			}
			for i, key := range []string{"a", "k", "s", "z"} {
				if r := mine[i]; b.keepsQuorum(r) {
					b.live = append(b.live, key)
				} else if len(r.Replicas) == 3 {
					b.silent = append(b.silent, key)
				}
			}
			if len(b.live) > 0 && len(b.live)+len(b.silent) == 4 && len(b.silent) > 0 && b.keepsQuorum(ranges[0]) {
				return true
			}
		}
	}
	return false
}

// keepsQuorum reports whether two of the three voters of a range are on nodes that live on.
func (b *tornBucket) keepsQuorum(r shownRange) bool {
	n := 0
	for _, x := range r.Replicas {
		if x.Learner || x.Incoming || x.Outgoing {
			return false
		}
		if slices.ContainsFunc(b.alive, func(i int) bool { return x.Node == fmt.Sprintf("node%d", i+1) }) {
			n++
		}
	}
	return n == 2 && len(r.Replicas) == 3
}

// refuse judges that a deletion is refused in time.
func (b *tornBucket) refuse(t *testing.T, client *s3.Client) error {
	began := time.Now()
	_, err := client.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: aws.String(b.name)})
	took := time.Since(began)
	t.Logf("the deletion ended after %v with %d", took, harness.StatusCode(err))
	if harness.StatusCode(err) != http.StatusServiceUnavailable || took > giveUpMax {
		return fmt.Errorf("the deletion ended after %v: %w; want a 503 in %v", took, err, giveUpMax)
	}
	return nil
}

// thawed judges that a node takes writes into the ranges that have a quorum.
func (b *tornBucket) thawed(ctx context.Context, client *s3.Client, node int) error {
	for _, key := range b.live {
		began := time.Now()
		err := harness.Put(ctx, client, b.name, fmt.Sprint(key, node), []byte("v"))
		if took := time.Since(began); err != nil || took > thawMax {
			return fmt.Errorf("a put of %s was answered after %v: %w", key, took, err)
		}
	}
	return nil
}

// goes judges that the bucket, once it is emptied, is deleted and takes nothing more through any node.
func (b *tornBucket) goes(t *testing.T, c *harness.Cluster) {
	t.Helper()
	all := clients(c)
	remove := func() error {
		_, err := all[b.dead[0]].DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: aws.String(b.name)})
		return err
	}
	await(t, "the deletion is refused because of the objects", healMax, func() bool { return code(remove()) == "BucketNotEmpty" })
	for _, i := range b.alive {
		for _, key := range b.live {
			_, err := all[i].DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(b.name), Key: aws.String(fmt.Sprint(key, i))})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	await(t, "the bucket goes", healMax, func() bool { return remove() == nil })
	for i, client := range all {
		for _, key := range append(b.live, b.silent...) {
			if err := harness.Put(t.Context(), client, b.name, key, []byte("late")); code(err) != "NoSuchBucket" {
				t.Errorf("node %d: a put into a bucket that is gone: %v", i, err)
			}
		}
	}
	c.WaitStatus(0, "tolerates.node=1", healMax)
}
