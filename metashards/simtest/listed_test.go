package simtest_test

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/local"
	"github.com/contender/contender/metashards/machine"
	"github.com/contender/contender/metashards/metapb"
)

// listed is one bucket in one range on one real disk, without Raft: entries are applied straight.
type listed struct {
	t          testing.TB
	disk       *local.Disk
	m          *machine.Machine
	generation uint64
	n          uint64 // commands so far
}

const listedRange, listedBucket = 7, 3

func newListed(t testing.TB, dir string) *listed {
	t.Helper()
	d, err := local.Open(t.Context(), local.Options{
		FS: vfs.Default, Dir: dir, Cluster: disk.ClusterID{1}, ID: 1, Boot: 1, Rand: rand.Reader,
	})
	l := &listed{t: t, disk: d, generation: 1}
	l.check(err)
	t.Cleanup(func() { l.check(d.Close()) })
	b := d.State().NewBatch()
	l.check(machine.Bootstrap(b, &metapb.RangeDescriptor{Id: listedRange}, uint64(time.Now().UnixMicro())))
	l.check(b.Commit())
	s := d.State().Snapshot()
	l.m, err = machine.Load(s, listedRange)
	l.check(err)
	l.check(s.Close())
	return l
}

func (l *listed) check(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// entryCommands is how many commands ride in an entry.
const entryCommands = 500

// apply applies n commands on keys.
func (l *listed) apply(n int, key func(int) string, command func(i int, c *metapb.Command)) {
	l.t.Helper()
	for from := 0; from < n; from += entryCommands {
		p := &metapb.Proposal{Format: 1, Time: uint64(time.Now().UnixMicro())}
		a := disk.Append{Entries: []disk.Entry{{Range: listedRange, Term: machine.FirstTerm, Index: l.m.State().AppliedIndex + 1, Data: []byte("entry")}}}
		for i := from; i < min(n, from+entryCommands); i++ {
			l.n++
			c := &metapb.Command{
				Format: 1, RequestId: fmt.Sprintf("%032x", l.n), Bucket: listedBucket, Key: []byte(key(i)), Generation: l.generation, Time: p.Time,
			}
			command(i, c)
			p.Commands = append(p.Commands, c)
			if c.PayloadLength > 0 {
				p.PayloadLengths, p.PayloadSums = append(p.PayloadLengths, c.PayloadLength), append(p.PayloadSums, 0)
				id := disk.PayloadID{Range: listedRange, Term: machine.FirstTerm, Index: a.Entries[0].Index, N: uint32(len(a.Payloads))}
				a.Payloads = append(a.Payloads, disk.Payload{ID: id, Data: make([]byte, c.PayloadLength)})
			}
		}
		l.commit(p, a)
	}
}

// commit appends an entry with its payloads and applies it.
func (l *listed) commit(p *metapb.Proposal, a disk.Append) {
	l.t.Helper()
	at := a.Entries[0].Index
	l.check(l.disk.Log().Append(l.t.Context(), a))
	l.check(l.disk.Log().Sync(l.t.Context()))
	b := l.disk.State().NewBatch()
	results, err := l.m.Apply(b, machine.Entry{Range: listedRange, Term: machine.FirstTerm, Index: at, Proposal: p})
	l.check(err)
	l.check(b.TruncateLog(listedRange, at))
	l.check(b.Commit())
	for _, r := range results {
		if r.Status != metapb.Status_OK {
			l.t.Fatalf("%v %s", r.Status, r.Detail)
		}
	}
}

// put puts n keys with so many bytes each.
func (l *listed) put(n, size int, key func(int) string) {
	l.t.Helper()
	l.apply(n, key, func(i int, c *metapb.Command) {
		c.PayloadLength = uint64(size)
		c.Op = &metapb.Command_Put{Put: &metapb.PutVersion{Version: &metapb.Version{
			Format: 1, Size: uint64(size), Nonce: l.n, Etag: make([]byte, 16), Owner: "root",
			Attributes: &metapb.Attributes{ContentType: "application/octet-stream"},
			Checksums:  []*metapb.Checksum{{Algorithm: "crc64nvme", Value: make([]byte, 8)}},
		}}}
	})
}

// remove deletes n keys.
func (l *listed) remove(n int, key func(int) string) {
	l.t.Helper()
	l.apply(n, key, func(i int, c *metapb.Command) {
		c.Op = &metapb.Command_Delete{Delete: &metapb.DeleteVersion{Nonce: l.n}}
	})
}

// versioned has the bucket keep versions from now on.
func (l *listed) versioned() {
	l.t.Helper()
	l.apply(1, func(int) string { return "" }, func(_ int, c *metapb.Command) {
		c.Op = &metapb.Command_Fence{Fence: &metapb.FenceBucket{Fence: &metapb.Fence{Generation: 2, Versioning: 1}}}
	})
	l.generation = 2
}

func inOrder(i int) string { return fmt.Sprintf("%016d", i) }

func uploadID(i int) []byte { return fmt.Appendf(nil, "%016d", i) }

// upload begins n uploads.
func (l *listed) upload(n int, key func(int) string) {
	l.t.Helper()
	l.apply(n, key, func(i int, c *metapb.Command) {
		c.Op = &metapb.Command_CreateUpload{CreateUpload: &metapb.CreateUpload{Upload: &metapb.Upload{Id: uploadID(i)}}}
	})
}

// abort aborts n uploads.
func (l *listed) abort(n int, key func(int) string) {
	l.t.Helper()
	l.apply(n, key, func(i int, c *metapb.Command) {
		c.Op = &metapb.Command_Abort{Abort: &metapb.AbortUpload{Upload: uploadID(i)}}
	})
}

// page asks for a page and demands so many lines.
func (l *listed) page(q *metapb.Query, lines int) {
	l.t.Helper()
	q.Format, q.Bucket, q.Generation = 1, listedBucket, l.generation
	s := l.disk.State().Snapshot()
	a, err := l.m.Moment().Answer(s, q)
	l.check(err)
	l.check(s.Close())
	if len(a.Items) != lines {
		l.t.Fatalf("%v: %d lines of status %v, want %d", q, len(a.Items), a.Status, lines)
	}
}

// TestPageAfterDeletes: after all but a few of many keys were deleted, a page of the rest costs at most three times what
// it would without them, in steps of the disk's iterators, as soon as the disk has noticed.
func TestPageAfterDeletes(t *testing.T) {
	const n, left, atMost = 8_000, 100, 3
	pages := map[string]func(l *listed) *metapb.Query{
		"keys": func(l *listed) *metapb.Query {
			l.put(n, 0, inOrder)
			l.remove(n-left, inOrder)
			return &metapb.Query{Op: &metapb.Query_ListKeys{ListKeys: &metapb.ListKeys{Limit: left}}}
		},
		"versions": func(l *listed) *metapb.Query {
			l.put(n, 0, inOrder)
			l.remove(n-left, inOrder)
			return &metapb.Query{Op: &metapb.Query_ListVersions{ListVersions: &metapb.ListVersions{Limit: left}}}
		},
		"uploads": func(l *listed) *metapb.Query {
			l.upload(n, inOrder)
			l.abort(n-left, inOrder)
			return &metapb.Query{Op: &metapb.Query_ListUploads{ListUploads: &metapb.ListUploads{Limit: left}}}
		},
	}
	for name, prepare := range pages {
		t.Run(name, func(t *testing.T) {
			l := newListed(t, t.TempDir())
			q := prepare(l)
			const patience = 20_000
			for asked := 1; ; asked++ {
				before := l.disk.Stats().StateSteps
				l.page(q, left)
				steps := l.disk.Stats().StateSteps - before
				switch {
				case asked == 1 && steps < n/4:
					t.Errorf("a page takes %d steps at first: the test shows little", steps)
				case steps <= atMost*left:
					t.Logf("%d steps after %d pages", steps, asked)
					return
				case asked == patience:
					t.Fatalf("%d steps still after %d pages", steps, asked)
				}
			}
		})
	}
}
