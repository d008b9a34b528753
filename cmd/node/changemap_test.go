package node

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/contender/contender/gateway/admin"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/clustermap"
)

// countUp raises a number that a map holds, in a name long enough that some dozen changes fill the tail.
func countUp(m *clustermap.Map) (bool, error) {
	n := 0
	_, _ = fmt.Sscan(m.Nodes[0].Rack, &n) // "" at first
	m.Nodes[0].Rack = fmt.Sprint(n+1, strings.Repeat(" ", 2000))
	return true, nil
}

// theTail reads the changes that the system range keeps, and the newest revision.
func (n *Node) theTail(t *testing.T) (tail *clustermap.Tail, revision uint64) {
	t.Helper()
	rec, err := n.getSystem(t.Context(), metashards.RecordMapTail)
	if err == nil {
		tail, err = clustermap.UnmarshalTail(rec.GetValue())
	}
	if err != nil {
		t.Fatal(err)
	}
	return tail, rec.Revision
}

// wholeMap demands that the system range's two records make the map that the node holds.
func (n *Node) wholeMap(t *testing.T) {
	t.Helper()
	tail, revision := n.theTail(t)
	m, err := n.readWholeMap(t.Context(), tail, revision)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := m.Marshal()
	b, _ := n.topology.Map().Marshal()
	if !bytes.Equal(a, b) {
		t.Errorf("the records make\n%s\nthe node holds\n%s", a, b)
	}
}

// TestMapChanges: changes from all sides are all made, each once, and what the records hold is the map at any time: also when
// the changes were so many that the map was written anew, by one who then stopped, and by one who was late. It catches the
// mutant stalemap.
func TestMapChanges(t *testing.T) {
	t.Parallel()
	s := newCluster(t, 1).nodes[0]
	first := s.topology.Map()
	var all sync.WaitGroup
	const sides, each = 4, 40
	for range sides {
		all.Go(func() {
			for range each {
				if err := s.changeMap(t.Context(), countUp); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	counted := 0
	_, _ = fmt.Sscan(s.topology.Map().Nodes[0].Rack, &counted)
	if counted != sides*each {
		t.Errorf("%d changes are in the map, %d were made", counted, sides*each)
	}
	s.wholeMap(t)
	tail, revision := s.theTail(t)
	if _, err := tail.Bring(first, revision); !errors.Is(err, clustermap.ErrBeforeTail) || tail.Base < 3 {
		t.Errorf("%v, the map was written %d times: the changes did not fill the tail", err, tail.Base)
	}

	older := s.topology.Map()
	if err := s.changeMap(t.Context(), countUp); err != nil {
		t.Fatal(err)
	}
	tail, _ = s.theTail(t)
	if won, err := s.writeWholeMap(t.Context(), s.topology.Map(), tail); !won || err != nil { // and stops there
		t.Fatal(won, err)
	}
	s.wholeMap(t)
	tail.Base = 1
	if won, err := s.writeWholeMap(t.Context(), older, tail); won || err != nil {
		t.Errorf("an older map took the newer one's place: %v, %v", won, err)
	}
	s.wholeMap(t)
	for range each {
		if err := s.changeMap(t.Context(), countUp); err != nil {
			t.Fatal(err)
		}
	}
	s.wholeMap(t)
}

// TestPresplit: a bucket is split at many keys, those where a range begins already are left, and every id is given once.
func TestPresplit(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	s := c.nodes[0]
	s.createBucket()
	q := admin.PresplitRequest{Bucket: testBucket}
	for i := range 40 {
		q.Keys = append(q.Keys, fmt.Sprintf("%02d", 39-i), fmt.Sprintf("%02d", 39-i))
	}
	if a, err := s.Presplit(t.Context(), q); err != nil || a.Split != 40 || a.Refused != 0 {
		t.Fatalf("%+v %v", a, err)
	}
	q.Keys = append(q.Keys, "x")
	if a, err := s.Presplit(t.Context(), q); err != nil || a.Split != 1 || a.Refused != 40 {
		t.Errorf("%+v %v", a, err)
	}
	var refused *admin.RequestError
	if _, err := s.Presplit(t.Context(), admin.PresplitRequest{Bucket: "nothing", Keys: []string{"k"}}); !errors.As(err, &refused) || refused.Kind != admin.NotFound {
		t.Errorf("a bucket that is not there: %v", err)
	}
	if n := len(s.topology.Map().Ranges); n != 43 {
		t.Errorf("%d ranges in the map", n)
	}
	for i := range 40 {
		s.mustPut(fmt.Sprintf("%02d/x", i), []byte("v"))
	}
	if n := len(s.listAll()); n != 40 {
		t.Errorf("%d keys are listed", n)
	}
}
