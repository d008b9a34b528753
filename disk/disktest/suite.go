package disktest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/contender/contender/disk"
)

// Harness is how Suite gets at the disks that it tests.
type Harness struct {
	// Open returns a new empty disk. Its room is at least 16 MiB. The harness releases it at the end of the test.
	Open func(t *testing.T) disk.Disk
	// Reopen closes a disk in good order and opens it again. Without it the tests of restarts are skipped.
	Reopen func(t *testing.T, d disk.Disk) disk.Disk
	// Crash cuts the power of a disk, which is not used any more, and opens what is left; seed decides what that is.
	// Without it the tests of crashes are skipped.
	Crash func(t *testing.T, d disk.Disk, seed uint64) disk.Disk
	// Crashes is how many seeds each test of crashes tries; 0 means Seeds(20).
	Crashes int
}

// Suite checks each promise of disk.Disk. Every implementation runs it.
func Suite(t *testing.T, h Harness) {
	if h.Crashes == 0 {
		h.Crashes = Seeds(20)
	}
	s := suite{h}
	tests := []struct {
		name string
		run  func(t *testing.T)
	}{
		{"Store/RoundTrip", s.storeRoundTrip},
		{"Store/Ranges", s.storeRanges},
		{"Store/Invisible", s.storeInvisible},
		{"Store/CommitTwice", s.storeCommitTwice},
		{"Store/Misuse", s.storeMisuse},
		{"Store/Epochs", s.storeEpochs},
		{"Store/Delete", s.storeDelete},
		{"Store/DeleteWhileRead", s.storeDeleteWhileRead},
		{"Store/List", s.storeList},
		{"Store/Concurrent", s.storeConcurrent},
		{"Log/Entries", s.logEntries},
		{"Log/Unsynced", s.logUnsynced},
		{"Log/Replace", s.logReplace},
		{"Log/HardState", s.logHardState},
		{"Log/Payloads", s.logPayloads},
		{"Log/Concurrent", s.logConcurrent},
		{"State/Rows", s.stateRows},
		{"State/Iter", s.stateIter},
		{"State/Batch", s.stateBatch},
		{"State/Snapshot", s.stateSnapshot},
		{"State/Truncate", s.stateTruncate},
		{"State/Ingest", s.stateIngest},
		{"State/IngestRefused", s.stateIngestRefused},
		{"State/Concurrent", s.stateConcurrent},
		{"Disk/Usage", s.diskUsage},
		{"Disk/Closed", s.diskClosed},
		{"Random", s.random},
		{"Reopen", s.reopen},
		{"Crash/Shards", s.crashShards},
		{"Crash/Log", s.crashLog},
		{"Crash/Prefix", s.crashPrefix},
		{"Crash/Ingest", s.crashIngest},
		{"Crash/Random", s.crashRandom},
		{"Crash/Churn", s.crashChurn},
	}
	for _, test := range tests {
		t.Run(test.name, test.run)
	}
}

type suite struct{ Harness }

// crashes calls fn with one seed after the other.
func (s suite) crashes(t *testing.T, fn func(t *testing.T, seed uint64)) {
	if s.Crash == nil {
		t.Skip("no crashes here")
	}
	for seed := range uint64(s.Crashes) {
		if t.Run(fmt.Sprint(seed), func(t *testing.T) { fn(t, seed) }); t.Failed() {
			return
		}
	}
}

func ctx() context.Context { return context.Background() }

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func kind(t testing.TB, what string, err error, k disk.Kind) {
	t.Helper()
	if !disk.Is(err, k) {
		t.Errorf("%s: %v, want a disk.Error of kind %q", what, err, k)
	}
}

// pattern returns n bytes that are the same for one seed and differ for others.
func pattern(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	b := make([]byte, n)
	for at := 0; at < n; at += 8 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], r.Uint64())
		copy(b[at:], word[:])
	}
	return b
}

// shardID returns the id of a shard; higher numbers sort later within a group.
func shardID(g disk.GroupID, number int) disk.ShardID {
	blob := disk.NewBlobID(uint64(1_000_000+number/8), [10]byte{byte(number / 4)})
	return disk.ShardID{Group: g, Blob: blob, Extent: uint32(number / 2 % 2), Slot: uint8(number % 2)}
}

// write stores a shard in pieces of at most four blocks.
func write(d disk.Disk, id disk.ShardID, epoch disk.Epoch, data, owner []byte) error {
	w, err := d.Create(ctx(), id, epoch)
	if err != nil {
		return err
	}
	defer w.Abort()
	for rest := data; len(rest) > 0; {
		n := min(len(rest), 4*disk.BlockBytes)
		piece := bytes.Clone(rest[:n])
		if err := w.Append(ctx(), piece); err != nil {
			return err
		}
		clear(piece) // the writer must not have kept it
		rest = rest[n:]
	}
	return w.Commit(ctx(), owner)
}

// read reads a part of a shard.
func read(d disk.Disk, id disk.ShardID, off, n int64) ([]byte, error) {
	r, err := d.Get(ctx(), id, off, n)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

// holds checks a shard that must be there.
func holds(t testing.TB, d disk.Disk, id disk.ShardID, epoch disk.Epoch, data, owner []byte) {
	t.Helper()
	got, err := read(d, id, 0, int64(len(data)))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("shard %v: %d bytes, %v; want the %d that were written", id, len(got), err, len(data))
	}
	i, err := d.Info(ctx(), id)
	if err != nil || i.ID != id || i.Epoch != epoch || i.Length != int64(len(data)) || !bytes.Equal(i.Owner, owner) {
		t.Errorf("info of %v: %+v, %v", id, i, err)
	}
}

// absent checks a shard that must not be there.
func absent(t testing.TB, d disk.Disk, id disk.ShardID) {
	t.Helper()
	_, err := d.Get(ctx(), id, 0, 0)
	kind(t, "get", err, disk.KindNotFound)
	_, err = d.Info(ctx(), id)
	kind(t, "info", err, disk.KindNotFound)
	kind(t, "verify", d.Verify(ctx(), id), disk.KindNotFound)
}

func entry(rangeID, term, index uint64, data string) disk.Entry {
	return disk.Entry{Range: rangeID, Term: term, Index: index, Data: []byte(data)}
}

// appendSync appends and syncs.
func appendSync(t testing.TB, d disk.Disk, a disk.Append) {
	t.Helper()
	ok(t, d.Log().Append(ctx(), a))
	ok(t, d.Log().Sync(ctx()))
}

// terms describes all entries of a range as "first:term term …", "" if there are none.
func terms(t testing.TB, d disk.Disk, rangeID uint64) string {
	t.Helper()
	first, last, found := d.Log().Bounds(rangeID)
	if !found {
		return ""
	}
	out := fmt.Sprintf("%d:", first)
	entries, err := d.Log().Entries(ctx(), rangeID, first, last+1, 1<<30)
	ok(t, err)
	if uint64(len(entries)) != last-first+1 {
		t.Fatalf("range %d: %d entries from %d to %d", rangeID, len(entries), first, last)
	}
	for i, e := range entries {
		term, err := d.Log().Term(rangeID, e.Index)
		if err != nil || term != e.Term || e.Index != first+uint64(i) || e.Range != rangeID {
			t.Fatalf("entry %+v: term %d, %v", e, term, err)
		}
		out += fmt.Sprint(" ", e.Term)
	}
	return out
}

// commit commits a batch that fn fills.
func commit(t testing.TB, d disk.Disk, fn func(b disk.Batch)) {
	t.Helper()
	b := d.State().NewBatch()
	fn(b)
	ok(t, b.Commit())
	ok(t, b.Close())
}

// rows describes the rows of a reader as "key=value …".
func rows(t testing.TB, r disk.Reader, lower, upper []byte) string {
	t.Helper()
	it, err := r.Iter(lower, upper)
	ok(t, err)
	out := ""
	for more := it.First(); more; more = it.Next() {
		out += fmt.Sprintf("%s=%s ", it.Key(), it.Value())
	}
	ok(t, it.Err())
	ok(t, it.Close())
	return out
}

// all describes all rows of a disk.
func all(t testing.TB, d disk.Disk) string {
	t.Helper()
	s := d.State().Snapshot()
	defer func() { ok(t, s.Close()) }()
	return rows(t, s, nil, nil)
}

// table returns rows as one table of an ingest.
func table(list ...disk.Row) func() (disk.Row, bool, error) {
	return func() (row disk.Row, more bool, err error) {
		if len(list) == 0 {
			return row, false, nil
		}
		row, list = list[0], list[1:]
		return row, true, nil
	}
}

func row(key, value string) disk.Row { return disk.Row{Key: []byte(key), Value: []byte(value)} }

func span(lower, upper string) disk.Span {
	return disk.Span{Lower: []byte(lower), Upper: []byte(upper)}
}

func same(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}
