package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/contender/contender/gateway/admin"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/bucket"
	"github.com/contender/contender/objectlayer/listing"
)

const (
	never     = objectlayer.VersioningNever
	enabled   = objectlayer.VersioningEnabled
	suspended = objectlayer.VersioningSuspended
)

const nullVersion = "null"

// layerOn is an object layer over a node's way to the metadata, as the one that its S3 port stands on: for what S3 has no
// operation yet.
func (s *server) layerOn(meta metashards.Store) (objectlayer.Buckets, objectlayer.Listings) {
	r := bucket.NewResolver(meta, s.env.Clock, s.env.Rand)
	return bucket.New(r, nil), listing.New(r)
}

// split cuts the test bucket at a key. It reports false if that is refused now.
func (s *server) split(key string) bool {
	s.t.Helper()
	_, err := s.SplitRange(s.t.Context(), admin.SplitRequest{Bucket: testBucket, Key: key})
	var refused *admin.RequestError
	if err != nil && (!errors.As(err, &refused) || refused.Kind != admin.Conflict) {
		s.t.Errorf("split at %s: %v", key, err)
	}
	return err == nil
}

// splitAt cuts the test bucket at keys.
func (s *server) splitAt(at ...string) {
	s.t.Helper()
	for _, key := range at {
		await(s.t, "split at "+key, func() bool { return s.split(key) || s.t.Failed() })
	}
}

// An obedience is a bucket over several ranges, written through all nodes while its versioning changes, and what is known
// of its versions.
type obedience struct {
	t     *testing.T
	nodes []*server
	admin []objectlayer.Buckets // of each node
	keys  []string

	mu   sync.Mutex
	have map[string]map[string]string // of each key the versions with their bodies

	splits, handed int
}

// TestVersioningObeyed: once a change of versioning is acknowledged through one node, a write through any other obeys it,
// whatever that one remembers and in whichever range the key lies, while ranges split, move and change their leaders. All
// versions that were kept are there in the end, no other.
func TestVersioningObeyed(t *testing.T) {
	t.Parallel()
	x := newObedience(t)
	rounds := pick(30, 10_000)
	meddle, meddled := make(chan int, rounds), make(chan struct{})
	go func() {
		defer close(meddled)
		for n := range meddle {
			x.meddle(n, rounds/pick(3, 8))
		}
	}()
	for n := 0; (n < rounds || len(meddle) > 0) && !t.Failed(); n++ {
		if n < rounds {
			meddle <- n
		}
		x.round(n)
	}
	close(meddle)
	<-meddled
	if !t.Failed() && (x.splits == 0 || x.handed == 0) {
		t.Errorf("%d splits and %d changes of leader meanwhile", x.splits, x.handed)
	}
	x.verify()
	t.Logf("%d rounds, %d splits and %d changes of leader meanwhile", rounds, x.splits, x.handed)
}

// newObedience returns a bucket in four ranges that all nodes have written to and remember as one that was never versioned.
func newObedience(t *testing.T) *obedience {
	x := &obedience{t: t, nodes: newCluster(t, 3).nodes, keys: strings.Split("abcdefghijkl", ""), have: map[string]map[string]string{}}
	x.nodes[0].createBucket()
	x.nodes[0].splitAt("d", "g", "j")
	await(t, "another node that can lead", func() bool {
		return slices.ContainsFunc(x.nodes[0].led(), func(r *replica.Status) bool { return x.nodes[0].heir(r) != 0 })
	})
	for i, s := range x.nodes {
		b, _ := s.layerOn(s.meta)
		x.admin = append(x.admin, b)
		for k := i; k < len(x.keys); k += len(x.nodes) {
			x.put(s, x.keys[k], "before", never)
		}
	}
	return x
}

// round changes versioning through one node and at once writes through the others.
func (x *obedience) round(n int) {
	v := enabled
	if n%2 == 1 {
		v = suspended
	}
	if err := x.admin[n%len(x.nodes)].SetVersioning(x.t.Context(), testBucket, v); err != nil {
		x.t.Errorf("round %d: %v", n, err)
		return
	}
	keys := rand.Perm(len(x.keys))
	var all sync.WaitGroup
	for i := 1; i < len(x.nodes); i++ {
		s, key := x.nodes[(n+i)%len(x.nodes)], x.keys[keys[i]]
		all.Go(func() { x.put(s, key, fmt.Sprintf("round %d by %s", n, s.cfg.Name), v) })
	}
	all.Wait()
}

// put writes an object through a node and judges which state of versioning that obeyed, by the version that was made.
func (x *obedience) put(s *server, key, body string, v objectlayer.Versioning) {
	id, err := s.putVersion(key, body)
	if err != nil {
		x.t.Errorf("%s: put %s: %v", body, key, err)
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	old := x.have[key]
	if old == nil {
		old = map[string]string{}
		x.have[key] = old
	}
	obeyed := map[objectlayer.Versioning]bool{
		never: id == "", suspended: id == nullVersion, enabled: id != "" && id != nullVersion && old[id] == "",
	}
	if !obeyed[v] {
		x.t.Errorf("%s: put %s made version %q, which is not what state %d of versioning asks", body, key, id, v)
	}
	if id == "" {
		id = nullVersion
	}
	old[id] = body
}

// meddle has the bucket's ranges change their leaders now and then, and splits one in every so many rounds.
func (x *obedience) meddle(n, splitEvery int) {
	s := x.nodes[n%len(x.nodes)]
	for try := 0; n%splitEvery == 0 && try < 50 && !x.t.Failed(); try++ { // it is refused while replicas are being exchanged
		if s.split([]string{"b", "f", "h", "l", "c", "e", "i", "k"}[n/splitEvery]) {
			x.splits++
			break
		}
	}
	if n%10 != 0 {
		return
	}
	for _, r := range s.led() {
		if to := s.heir(r); to != 0 && s.stores[r.Disk].TransferLeadership(x.t.Context(), r.Range, to) == nil {
			x.handed++
		}
	}
}

// verify judges that each node lists all versions that are known and no other, and reads some of them.
func (x *obedience) verify() {
	for i, s := range x.nodes {
		got := map[string]map[string]bool{}
		_, lists := s.layerOn(s.meta)
		if err := allVersions(x.t.Context(), lists, func(v *objectlayer.Version) {
			if got[v.Key] == nil {
				got[v.Key] = map[string]bool{}
			}
			got[v.Key][v.ID] = true
		}); err != nil {
			x.t.Fatal(err)
		}
		for k, key := range x.keys {
			if a, b := slices.Sorted(maps.Keys(got[key])), slices.Sorted(maps.Keys(x.have[key])); !slices.Equal(a, b) {
				x.t.Errorf("%s lists %d versions of %s, want %d", s.cfg.Name, len(a), key, len(b))
			}
			read := 0
			for id, body := range x.have[key] {
				if read++; read > 3 || k%len(x.nodes) != i {
					break
				}
				if b, err := s.getVersion(key, id); err != nil || b != body {
					x.t.Errorf("%s reads %q of version %s of %s (%v), want %q", s.cfg.Name, b, id, key, err, body)
				}
			}
		}
	}
}

// putVersion writes an object and returns the id of the version, none if the bucket was never versioned.
func (s *server) putVersion(key, body string) (id string, err error) {
	out, err := s.client.PutObject(s.t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(testBucket), Key: aws.String(key), Body: strings.NewReader(body),
	})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.VersionId), nil
}

// getVersion reads a version.
func (s *server) getVersion(key, id string) (string, error) {
	out, err := s.client.GetObject(s.t.Context(), &s3.GetObjectInput{Bucket: aws.String(testBucket), Key: aws.String(key), VersionId: aws.String(id)})
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(out.Body)
	return string(b), errors.Join(err, out.Body.Close())
}

// allVersions calls fn for each version in the test bucket.
func allVersions(ctx context.Context, l objectlayer.Listings, fn func(*objectlayer.Version)) error {
	q := objectlayer.ListRequest{Bucket: testBucket, Limit: 1000}
	for {
		p, err := l.Versions(ctx, q)
		if err != nil {
			return err
		}
		for _, it := range p.Items {
			fn(&it.Version)
		}
		if !p.Truncated {
			return nil
		}
		q.Token = p.Next
	}
}
