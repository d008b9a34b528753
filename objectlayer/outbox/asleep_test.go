package outbox_test

import (
	"context"
	"testing"

	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer/outbox"
)

// asked is a store that counts what it is asked.
type asked struct {
	metashards.Store
	n int
}

func (a *asked) Query(ctx context.Context, q *metapb.Query) (*metapb.Answer, error) {
	a.n++
	return a.Store.Query(ctx, q)
}

// TestEmptyOutboxIsLeftAlone: a range whose outbox is empty is not asked again before it was given a row. Rows that wait
// for their time are looked at again. It catches the mutant outboxasleep.
func TestEmptyOutboxIsLeftAlone(t *testing.T) {
	r := newRig(t)
	store, given := &asked{Store: r.o.Store}, uint64(5)
	r.o.Store = store
	r.o.Led = func() []outbox.Position { return []outbox.Position{{Bucket: 1, Range: 7, Sequence: given}} }
	w := outbox.New(r.o)
	pass := func(what string, wantDone, wantAsked int) {
		t.Helper()
		store.n = 0
		done, err := w.Pass(t.Context())
		if err != nil || done != wantDone || store.n != wantAsked {
			t.Errorf("%s: %d rows done, asked %d times, %v; want %d, %d", what, done, store.n, err, wantDone, wantAsked)
		}
	}
	pass("at first", 0, 1)
	pass("empty", 0, 0)
	r.put(t, "key", 1<<20)
	r.delete(t, "key")
	given++
	pass("a row that is not due", 0, 1)
	pass("a row that still is not", 0, 1)
	r.clock.advance(2 * delay)
	pass("a row that is due", 1, 1)
	pass("whether that was all", 0, 1)
	pass("empty again", 0, 0)
	given = 0
	pass("unknown", 0, 1)
	pass("unknown still", 0, 1)
}
