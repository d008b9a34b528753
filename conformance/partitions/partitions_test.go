//go:build partitions

package partitions

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/contender/contender/conformance/harness"
	"github.com/contender/contender/conformance/history"
)

const (
	// answerMax is how long after the end of all trouble every node may take until it answers.
	answerMax = 20 * time.Second
	// refuseMax is how long a node without a majority may take until it says so.
	refuseMax = 12 * time.Second
	// readyMax is how long after it the cluster may take until it is healthy.
	readyMax   = time.Minute
	attemptMax = 5 * time.Second
	judgeMax   = time.Minute // for one key
)

// TestThreeNodes: histories of three nodes in trouble are linearizable.
func TestThreeNodes(t *testing.T) { each(t, 3) }

// TestFiveNodes: the same of three nodes that become five.
func TestFiveNodes(t *testing.T) { each(t, 5) }

// each runs a cluster for each seed: one in small runs, or the one given by SEED.
func each(t *testing.T, nodes int) {
	seeds := make([]uint64, harness.Pick(1, 3))
	for i := range seeds {
		seeds[i] = rand.Uint64() >> 32
	}
	if s := os.Getenv("SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = []uint64{n}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { weather(t, seed, nodes) })
	}
}

// TestCut: the lab's cuts cut. A node that hears nobody, or that nobody hears, acknowledges nothing and tells nobody what
// is there, while the others go on; when it hears and is heard again, it answers.
func TestCut(t *testing.T) {
	f := newFleet(t, rand.New(rand.NewPCG(1, 2)), 3)
	harness.CreateBucket(t, f.members[0].client, bucket)
	for i := range harness.Pick(1, 6) {
		m, a, b := f.members[i%3], f.members[(i+1)%3], f.members[(i+2)%3]
		what := "deaf"
		if i%2 == 0 {
			m.host.Deafen(a.host, b.host)
		} else {
			what = "unheard"
			a.host.Deafen(m.host)
			b.host.Deafen(m.host)
		}
		key := fmt.Sprintf("cut/%d", i)
		took := eventually(t, answerMax, "the majority goes on", func(ctx context.Context) error {
			return errors.Join(harness.Put(ctx, a.client, bucket, key, []byte("1")), harness.Put(ctx, b.client, bucket, key, []byte("2")))
		})
		t.Logf("%s is %s; the others go on after %v", m.Name, what, took)
		m.refuses(key)
		for _, x := range f.members {
			x.host.Hear()
		}
		took = eventually(t, answerMax, m.Name+" answers again", func(ctx context.Context) error {
			return harness.Put(ctx, m.client, bucket, key, []byte("4"))
		})
		t.Logf("%s answers %v after it was %s", m.Name, took, what)
	}
}

// refuses fails the test unless a node answers soon that it can neither write nor read.
func (m *member) refuses(key string) {
	ctx, cancel := context.WithTimeout(m.t.Context(), refuseMax)
	defer cancel()
	began := time.Now()
	var wg sync.WaitGroup
	for what, do := range map[string]func() error{
		"write": func() error { return harness.Put(ctx, m.client, bucket, key, []byte("3")) },
		"read":  func() error { _, err := harness.Get(ctx, m.client, bucket, key); return err },
	} {
		wg.Go(func() {
			err := do()
			if harness.StatusCode(err) < 500 {
				m.t.Errorf("%s is cut off; a %s is not refused after %v: %v", m.Name, what, time.Since(began), err)
			}
			m.t.Logf("a %s is refused after %v: %v", what, time.Since(began), err)
		})
	}
	wg.Wait()
}

// weather runs storms with calms between them over a cluster, and judges what its clients saw.
func weather(t *testing.T, seed uint64, nodes int) {
	t.Logf("SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 7))
	f := newFleet(t, r, 3)
	harness.CreateBucket(t, f.members[0].client, bucket)
	l := newLoad(t, f)
	s := &storm{f: f, l: l, rand: r, counts: map[string]int{}, hurt: map[*member]bool{}}
	stop, stopContests := l.start(), l.contests()
	for range harness.Pick(2, 6) {
		f.grow(nodes)
		s.blow(time.Duration(harness.Pick(6, 25)) * time.Second)
		s.calm()
		if t.Failed() {
			break
		}
	}
	rounds, won := stopContests()
	stop()
	all, open := l.rec.Count()
	t.Logf("troubles %v; %d operations, %d of them open; %d of %d contests won by whom it was told; %d of the crowd; errors %v", s.counts, all, open, won, rounds, len(l.crowd), l.errs)
	if !t.Failed() {
		for i := range f.members {
			f.cluster.WaitStatus(i, "healthy=true", readyMax)
		}
		l.compare()
	}
	began := time.Now()
	for _, err := range l.rec.Judge(judgeMax) {
		t.Error(err)
	}
	t.Logf("judged in %v; %d ranges", time.Since(began), len(f.ranges(f.members[0])))
	if harness.Full() && !t.Failed() {
		for _, x := range troubles {
			if s.counts[x.name] == 0 {
				t.Errorf("no trouble of the kind %q", x.name)
			}
		}
	}
}

// grow has one more node join, unless there are so many. It may be used once it is ready.
func (f *fleet) grow(nodes int) {
	if len(f.members) >= nodes {
		return
	}
	m := f.add()
	m.Join = f.cluster.Peers()
	m.Launch()
	f.t.Logf("%s joins", m.Name)
}

// calm waits until every node answers again, as soon as it must.
func (s *storm) calm() {
	began := time.Now()
	for _, m := range s.f.members {
		if m.WaitReady(); m.client == nil {
			s.f.admit(m)
		}
	}
	ready := time.Since(began)
	var wg sync.WaitGroup
	var mu sync.Mutex
	took := map[string]time.Duration{}
	for _, m := range s.f.members {
		for at := range slots {
			wg.Go(func() {
				key := fmt.Sprintf("%scalm-%s", slotPrefix(at), m.Name)
				s.l.know([]byte(key))
				d := eventually(s.f.t, answerMax, fmt.Sprintf("%s writes, reads and lists among %s", m.Name, slotPrefix(at)), func(ctx context.Context) error {
					if err := harness.Put(ctx, m.client, bucket, key, []byte(key)); err != nil {
						return err
					}
					if _, err := harness.Get(ctx, m.client, bucket, key); err != nil {
						return err
					}
					_, err := listing(ctx, s.f.t, m.client, slotPrefix(at))
					return err
				})
				mu.Lock()
				defer mu.Unlock()
				took[m.Name] = max(took[m.Name], d)
			})
		}
	}
	wg.Wait()
	s.log("calm: all ready after %v, each answers in every part after %v", ready, took)
}

// compare reads everything through all nodes in turn, and lists it.
func (l *load) compare() {
	ways := l.f.ways()
	shown := make([]map[string]string, len(ways))
	for i, m := range ways {
		ctx, cancel := context.WithTimeout(l.t.Context(), readyMax)
		var err error
		if shown[i], err = listing(ctx, l.t, m.client, ""); err != nil {
			l.t.Errorf("LIST through %s: %v", m.Name, err)
		}
		cancel()
	}
	if l.t.Failed() {
		return
	}
	crowd := l.acknowledged("")
	recorded := l.rec.Keys()
	keys := slices.Concat(slices.Collect(maps.Keys(shown[0])), slices.Collect(maps.Keys(crowd)), recorded)
	slices.Sort(keys)
	keys = slices.Compact(keys)
	harness.Each(l.t, clients, len(keys), func(i int) error {
		key, m := keys[i], ways[i%len(ways)]
		ctx, cancel := context.WithTimeout(l.t.Context(), requestMax)
		defer cancel()
		op := history.Op{Client: clients, Key: key, Kind: history.Read, Call: l.rec.Now()}
		tag, err := l.get(ctx, m.client, key)
		if err != nil {
			return fmt.Errorf("%s through %s: %w", key, m.Name, err)
		}
		if _, ok := slices.BinarySearch(recorded, key); ok {
			op.Value = tag
			l.rec.Note(op)
		}
		if want, ok := crowd[key]; ok && want != tag {
			l.t.Errorf("%s was acknowledged with ETag %s and has %q through %s", key, want, tag, m.Name)
		}
		for j := range shown {
			if shown[j][key] != tag {
				l.t.Errorf("%s: GET through %s says %q, LIST through %s says %q", key, m.Name, tag, ways[j].Name, shown[j][key])
			}
		}
		return nil
	})
}
