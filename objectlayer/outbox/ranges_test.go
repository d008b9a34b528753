package outbox_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer/outbox"
)

// ranges is outbox rows of bucket 1 in ranges that are cut while they are read. It judges as a range does and sends on as the
// metadata space does: each command of a batch goes to the range that owns its position.
type ranges struct {
	t *testing.T

	mu     sync.Mutex
	starts []string // keys where ranges begin, ascending; the first is ""
	rows   map[string]*metapb.OutboxItem
	broken string      // the start of a range that does not answer
	listed func(n int) // called after each page
	pages  int
	drops  map[string]int // how often each key's blob was deleted
}

func newRanges(t *testing.T, keysOf int, starts ...string) *ranges {
	s := &ranges{t: t, starts: starts, rows: map[string]*metapb.OutboxItem{}, drops: map[string]int{}, broken: "none"}
	for i := range keysOf {
		key := fmt.Appendf(nil, "k%03d", i)
		for n := range uint64(1 + i%2) { // some keys have two rows
			row := keys.OutboxRow(1, key, 1, n)
			s.rows[string(row)] = &metapb.OutboxItem{Row: row, Bucket: 1, Key: key, Value: &metapb.OutboxRow{
				Format: 1, NotBefore: 1, Cause: &metapb.OutboxRow_DeleteBlobs{
					DeleteBlobs: &metapb.DeleteBlobs{Blobs: []*metapb.Blob{{Id: fmt.Appendf(nil, "%s/%d", key, n)}}},
				},
			}}
		}
	}
	return s
}

// owner returns the start of the range of a key. The caller holds the lock.
func (s *ranges) owner(key []byte) string {
	return s.starts[sort.Search(len(s.starts), func(i int) bool { return s.starts[i] > string(key) })-1]
}

func (s *ranges) split(at string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts = append(s.starts, at)
	slices.Sort(s.starts)
}

// all returns the starts of the ranges of now.
func (s *ranges) all() (led []outbox.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.starts {
		led = append(led, outbox.Position{Bucket: 1, Key: []byte(k)})
	}
	return led
}

func (s *ranges) Query(_ context.Context, q *metapb.Query) (*metapb.Answer, error) {
	a, err := s.page(q)
	s.pages++
	if s.listed != nil {
		s.listed(s.pages)
	}
	return a, err
}

func (s *ranges) page(q *metapb.Query) (*metapb.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own, list, a := s.owner(q.Key), q.GetListOutbox(), new(metapb.Answer)
	if own == s.broken {
		return nil, &metashards.Error{Op: "query", Kind: metashards.KindUnavailable}
	}
	var rows []*metapb.OutboxItem
	for _, it := range s.rows {
		if s.owner(it.Key) == own && bytes.Compare(it.Row, list.After) > 0 {
			rows = append(rows, it)
		}
	}
	slices.SortFunc(rows, func(x, y *metapb.OutboxItem) int { return bytes.Compare(x.Row, y.Row) })
	if n := int(list.Limit); len(rows) > n {
		a.Truncated, a.Next, rows = true, rows[n-1].Row, rows[:n]
	}
	a.Outbox = rows
	return a, nil
}

func (s *ranges) Apply(_ context.Context, c *metapb.Command, _ []byte) (*metapb.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := new(metapb.Result)
	for _, sub := range c.GetBatch().GetCommands() {
		out.Results = append(out.Results, s.done(sub))
	}
	return out, nil
}

func (s *ranges) done(c *metapb.Command) *metapb.Result {
	for _, row := range c.GetOutboxDone().GetRows() {
		r, _, _, err := keys.ParseOutbox(row)
		if err != nil {
			s.t.Error(err)
		}
		if c.Bucket != 1 || s.owner(r.Key) != s.owner(c.Key) {
			return &metapb.Result{Status: metapb.Status_WRONG_RANGE}
		}
	}
	for _, row := range c.GetOutboxDone().GetRows() {
		delete(s.rows, string(row))
	}
	return new(metapb.Result)
}

func (s *ranges) Drop(_ context.Context, blobs ...*metapb.Blob) error {
	for _, b := range blobs {
		s.drops[string(b.Id)]++
	}
	return nil
}

func (s *ranges) worker(led func() []outbox.Position) *outbox.Worker {
	return outbox.New(outbox.Options{Store: s, Bytes: s, Now: func() time.Time { return time.Unix(9, 0) }, Led: led})
}

// once demands that each blob was deleted once and no row is left.
func (s *ranges) once(rows int) {
	s.t.Helper()
	if len(s.rows) > 0 || len(s.drops) != rows {
		s.t.Errorf("%d rows are left, the blobs of %d were deleted", len(s.rows), len(s.drops))
	}
	for id, n := range s.drops {
		if n != 1 {
			s.t.Errorf("blob %s was deleted %d times", id, n)
		}
	}
}

func TestAllRangesThatAreLed(t *testing.T) {
	s := newRanges(t, 300, "", "k100", "k250")
	if done, err := s.worker(func() []outbox.Position { return s.all()[1:] }).Pass(t.Context()); done != 300 || err != nil {
		t.Fatalf("%d rows, %v", done, err)
	}
	if n := len(s.rows); n != 150 {
		t.Fatalf("%d rows of the range that another node leads", n)
	}
	if done, err := s.worker(s.all).Pass(t.Context()); done != 150 || err != nil {
		t.Fatalf("%d rows, %v", done, err)
	}
	s.once(450)
}

// TestSplitBeforeAcknowledgement catches the mutant outboxowner: rows that were read of one range are acknowledged in the two
// that it became, and what lies beyond the new end is found once that range is known.
func TestSplitBeforeAcknowledgement(t *testing.T) {
	s := newRanges(t, 200, "")
	s.listed = func(n int) {
		if n == 1 {
			s.split("k040") // the page reaches beyond
		}
	}
	before := s.all()
	old := s.worker(func() []outbox.Position { return before })
	if done, err := old.Pass(t.Context()); done != 100 || err != nil || s.pages != 2 {
		t.Fatalf("%d rows in %d pages, %v", done, s.pages, err)
	}
	if done, err := old.Pass(t.Context()); done != 0 || err != nil {
		t.Fatalf("%d rows, %v", done, err)
	}
	if done, err := s.worker(s.all).Pass(t.Context()); done != 200 || err != nil {
		t.Fatalf("%d rows, %v", done, err)
	}
	s.once(300)
}

// TestSplitBetweenPages: the new end may also lie above what was read; nothing is done twice then, either.
func TestSplitBetweenPages(t *testing.T) {
	s := newRanges(t, 200, "")
	s.listed = func(n int) {
		if n == 1 {
			s.split("k150")
		}
	}
	before := s.all()
	if done, err := s.worker(func() []outbox.Position { return before }).Pass(t.Context()); done != 225 || err != nil {
		t.Fatalf("%d rows, %v", done, err)
	}
	if done, err := s.worker(s.all).Pass(t.Context()); done != 75 || err != nil {
		t.Fatalf("%d rows, %v", done, err)
	}
	s.once(300)
}

func TestRangeThatFailsDoesNotHoldUpOthers(t *testing.T) {
	s := newRanges(t, 200, "", "k050", "k150")
	s.broken = "k050"
	w := s.worker(s.all)
	if done, err := w.Pass(t.Context()); done != 150 || !metashards.Is(err, metashards.KindUnavailable) {
		t.Fatalf("%d rows, %v", done, err)
	}
	s.broken = "none"
	if done, err := w.Pass(t.Context()); done != 150 || err != nil {
		t.Fatalf("%d rows, %v", done, err)
	}
	s.once(300)
}

// TestPassEnds: when the worker is told to stop, ranges that it did not come to are left alone.
func TestPassEnds(t *testing.T) {
	s := newRanges(t, 200, "", "k050", "k150")
	ctx, cancel := context.WithCancel(t.Context())
	s.listed = func(int) { cancel() }
	if done, err := s.worker(s.all).Pass(ctx); done != 75 || err == nil || s.pages != 1 {
		t.Fatalf("%d rows in %d pages, %v", done, s.pages, err)
	}
}
