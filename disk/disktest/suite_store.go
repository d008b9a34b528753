package disktest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/contender/contender/disk"
)

func (s suite) storeRoundTrip(t *testing.T) {
	d := s.Open(t)
	sizes := []int{0, 1, 511, disk.BlockBytes - 1, disk.BlockBytes, disk.BlockBytes + 1, 5*disk.BlockBytes + 7}
	check := func() {
		t.Helper()
		for i, n := range sizes {
			holds(t, d, shardID(3, i), 1, pattern(uint64(i), n), fmt.Appendf(nil, "owner %d", i))
			ok(t, d.Verify(ctx(), shardID(3, i)))
		}
	}
	for i, n := range sizes {
		ok(t, write(d, shardID(3, i), 1, pattern(uint64(i), n), fmt.Appendf(nil, "owner %d", i)))
	}
	check()
	ok(t, d.State().Flush(ctx()))
	check()
	absent(t, d, shardID(3, len(sizes)))
	absent(t, d, shardID(4, 0))
}

func (s suite) storeRanges(t *testing.T) {
	const n = 2*disk.BlockBytes + 100
	d, id, data := s.Open(t), shardID(1, 1), pattern(1, n)
	ok(t, write(d, id, 1, data, nil))
	for _, off := range []int64{0, 1, disk.BlockBytes - 1, disk.BlockBytes, disk.BlockBytes + 5, n - 1, n} {
		for _, length := range []int64{0, 1, 2, disk.BlockBytes, disk.BlockBytes + 3, n} {
			got, err := read(d, id, off, length)
			if off+length > n {
				kind(t, fmt.Sprintf("%d bytes from %d", length, off), err, disk.KindInvalid)
			} else if err != nil || !bytes.Equal(got, data[off:off+length]) {
				t.Errorf("%d bytes from %d: %d bytes, %v", length, off, len(got), err)
			}
		}
	}
	for _, bad := range [][2]int64{{-1, 1}, {0, -1}, {1, 1<<63 - 1}, {n + 1, 0}} {
		_, err := read(d, id, bad[0], bad[1])
		kind(t, fmt.Sprint("range ", bad), err, disk.KindInvalid)
	}
}

func (s suite) storeInvisible(t *testing.T) {
	d, id := s.Open(t), shardID(1, 1)
	w, err := d.Create(ctx(), id, 1)
	ok(t, err)
	ok(t, w.Append(ctx(), pattern(1, disk.BlockBytes)))
	absent(t, d, id)
	ok(t, d.Log().Sync(ctx()))
	absent(t, d, id)
	w.Abort()
	absent(t, d, id)
	w, err = d.Create(ctx(), id, 1)
	ok(t, err)
	ok(t, w.Append(ctx(), []byte("other")))
	ok(t, w.Commit(ctx(), nil))
	w.Abort()
	holds(t, d, id, 1, []byte("other"), nil)
}

func (s suite) storeCommitTwice(t *testing.T) {
	d, id, data := s.Open(t), shardID(1, 1), pattern(1, disk.BlockBytes+9)
	w, err := d.Create(ctx(), id, 1)
	ok(t, err)
	ok(t, w.Append(ctx(), data))
	ok(t, w.Commit(ctx(), []byte("o")))
	ok(t, w.Commit(ctx(), []byte("o")))
	ok(t, write(d, id, 1, data, []byte("o")))
	holds(t, d, id, 1, data, []byte("o"))
	other := bytes.Clone(data)
	other[7]++
	kind(t, "other bytes", write(d, id, 1, other, []byte("o")), disk.KindExists)
	kind(t, "another length", write(d, id, 1, data[:disk.BlockBytes], []byte("o")), disk.KindExists)
	holds(t, d, id, 1, data, []byte("o"))
	ok(t, d.Delete(ctx(), id))
	ok(t, write(d, id, 1, other, []byte("o")))
	holds(t, d, id, 1, other, []byte("o"))
}

func (s suite) storeMisuse(t *testing.T) {
	d := s.Open(t)
	w, err := d.Create(ctx(), shardID(1, 1), 1)
	ok(t, err)
	defer w.Abort()
	ok(t, w.Append(ctx(), []byte("short")))
	kind(t, "append after a short block", w.Append(ctx(), []byte("more")), disk.KindInvalid)
}

func (s suite) storeEpochs(t *testing.T) {
	d := s.Open(t)
	ok(t, write(d, shardID(1, 1), 5, []byte("x"), nil))
	_, err := d.Create(ctx(), shardID(1, 2), 4)
	kind(t, "older epoch", err, disk.KindStaleEpoch)
	ok(t, write(d, shardID(2, 1), 1, []byte("another group"), nil))
	ok(t, write(d, shardID(1, 3), 5, []byte("same"), nil))
	ok(t, write(d, shardID(1, 4), 7, []byte("newer"), nil))
	_, err = d.Create(ctx(), shardID(1, 5), 6)
	kind(t, "older epoch", err, disk.KindStaleEpoch)
	ok(t, d.Delete(ctx(), shardID(1, 4)))
	_, err = d.Create(ctx(), shardID(1, 5), 6)
	kind(t, "older epoch after a delete", err, disk.KindStaleEpoch)
	holds(t, d, shardID(1, 1), 5, []byte("x"), nil)
}

func (s suite) storeDelete(t *testing.T) {
	d := s.Open(t)
	for i := range 6 {
		ok(t, write(d, shardID(1, i), 1, pattern(uint64(i), 1000), nil))
	}
	ok(t, d.Delete(ctx(), shardID(1, 1), shardID(1, 99), shardID(1, 3)))
	ok(t, d.Delete(ctx(), shardID(1, 1)))
	ok(t, d.Delete(ctx()))
	for i := range 6 {
		if i == 1 || i == 3 {
			absent(t, d, shardID(1, i))
		} else {
			holds(t, d, shardID(1, i), 1, pattern(uint64(i), 1000), nil)
		}
	}
}

func (s suite) storeDeleteWhileRead(t *testing.T) {
	d, id, data := s.Open(t), shardID(1, 1), pattern(1, 8*disk.BlockBytes)
	ok(t, write(d, id, 1, data, nil))
	r, err := d.Get(ctx(), id, 0, int64(len(data)))
	ok(t, err)
	first := make([]byte, 10)
	_, err = io.ReadFull(r, first)
	ok(t, err)
	ok(t, d.Delete(ctx(), id))
	for i := range 40 { // what may reuse the room
		ok(t, write(d, shardID(1, 10+i), 1, pattern(uint64(i), disk.BlockBytes), nil))
	}
	rest, err := io.ReadAll(r)
	got := slices.Concat(first, rest)
	if !bytes.HasPrefix(data, got) || err == nil && len(got) != len(data) {
		t.Errorf("a deleted shard gave other bytes: %d, %v", len(got), err)
	}
	ok(t, r.Close())
}

func (s suite) storeList(t *testing.T) {
	d := s.Open(t)
	for _, g := range []disk.GroupID{1, 2, 256} {
		for _, i := range []int{40, 3, 0, 17, 8, 1, 9} {
			ok(t, write(d, shardID(g, i), disk.Epoch(g), pattern(1, i), []byte{byte(i)}))
		}
	}
	list := func(g disk.GroupID, after disk.ShardID) (ids []disk.ShardID) {
		t.Helper()
		ok(t, d.List(ctx(), g, after, func(i disk.ShardInfo) error {
			if i.ID.Group != g || i.Epoch != disk.Epoch(g) || int64(i.Owner[0]) != i.Length {
				t.Errorf("listed %+v", i)
			}
			ids = append(ids, i.ID)
			return nil
		}))
		return ids
	}
	for _, g := range []disk.GroupID{1, 2, 256} {
		var want []disk.ShardID
		for _, i := range []int{0, 1, 3, 8, 9, 17, 40} {
			want = append(want, shardID(g, i))
		}
		if got := list(g, disk.ShardID{}); !slices.Equal(got, want) {
			t.Errorf("group %d: %v, want %v", g, got, want)
		}
		if got := list(g, shardID(g, 3)); !slices.Equal(got, want[3:]) {
			t.Errorf("group %d after a shard: %v", g, got)
		}
		if got := list(g, shardID(g, 10)); !slices.Equal(got, want[5:]) {
			t.Errorf("group %d after an absent shard: %v", g, got)
		}
		if got := list(g, shardID(g, 40)); len(got) != 0 {
			t.Errorf("group %d after the last: %v", g, got)
		}
	}
	if got := list(7, disk.ShardID{}); len(got) != 0 {
		t.Errorf("an empty group: %v", got)
	}
	stop, calls := errors.New("stop"), 0
	err := d.List(ctx(), 1, disk.ShardID{}, func(disk.ShardInfo) error {
		calls++
		return stop
	})
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("stopped list: %v after %d calls", err, calls)
	}
}

func (s suite) storeConcurrent(t *testing.T) {
	d := s.Open(t)
	var wg sync.WaitGroup
	for g := range disk.GroupID(8) {
		wg.Go(func() {
			for i := range 10 {
				id, data := shardID(g, i), pattern(uint64(i), 1000*i)
				if err := write(d, id, 1, data, []byte{byte(i)}); err != nil {
					t.Error(err)
				}
				holds(t, d, id, 1, data, []byte{byte(i)})
				if i%3 == 0 {
					if err := d.Delete(ctx(), id); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	for g := range disk.GroupID(8) {
		for i := range 10 {
			if i%3 == 0 {
				absent(t, d, shardID(g, i))
			} else {
				holds(t, d, shardID(g, i), 1, pattern(uint64(i), 1000*i), []byte{byte(i)})
			}
		}
	}
}

func (s suite) diskUsage(t *testing.T) {
	d := s.Open(t)
	ok(t, write(d, shardID(1, 1), 1, pattern(1, 100_000), nil))
	u := d.Usage()
	if u.LiveBytes < 100_000 || u.UsedBytes < u.LiveBytes || u.CapacityBytes < u.UsedBytes {
		t.Errorf("usage with a shard: %+v", u)
	}
	ok(t, d.Delete(ctx(), shardID(1, 1)))
	if after := d.Usage(); after.LiveBytes > u.LiveBytes-100_000 {
		t.Errorf("usage after its deletion: %+v, before %+v", after, u)
	}
}

func (s suite) diskClosed(t *testing.T) {
	d := s.Open(t)
	if d.ID() == 0 {
		t.Error("a disk without an id")
	}
	ok(t, write(d, shardID(1, 1), 1, []byte("x"), nil))
	if d.Err() != nil {
		t.Error(d.Err())
	}
	ok(t, d.Close())
	_, err := d.Get(ctx(), shardID(1, 1), 0, 1)
	kind(t, "get", err, disk.KindClosed)
	_, err = d.Create(ctx(), shardID(1, 2), 1)
	kind(t, "create", err, disk.KindClosed)
	kind(t, "append", d.Log().Append(ctx(), disk.Append{}), disk.KindClosed)
	kind(t, "sync", d.Log().Sync(ctx()), disk.KindClosed)
	kind(t, "flush", d.State().Flush(ctx()), disk.KindClosed)
	select {
	case <-d.Fenced():
		t.Error("closing a disk fenced it")
	default:
	}
}
