package disktest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/contender/contender/disk"
)

func TestMemory(t *testing.T) {
	Suite(t, Harness{
		Crashes: Seeds(20),
		Open:    func(*testing.T) disk.Disk { return NewMemory(7) },
		Reopen: func(t *testing.T, d disk.Disk) disk.Disk {
			ok(t, d.Close())
			return d.(*Memory).Crash(nil)
		},
		Crash: func(_ *testing.T, d disk.Disk, seed uint64) disk.Disk {
			return d.(*Memory).Crash(rand.New(rand.NewPCG(seed, 0)))
		},
	})
}

func TestMemoryFull(t *testing.T) {
	m := NewMemory(1)
	m.SetCapacity(100_000)
	ok(t, write(m, shardID(1, 1), 1, pattern(1, 90_000), nil))
	kind(t, "a shard past 95 %", write(m, shardID(1, 2), 1, pattern(1, 9_000), nil), disk.KindFull)
	p := func(n uint32, bytes int) disk.Append {
		return disk.Append{Payloads: []disk.Payload{{ID: disk.PayloadID{N: n}, Data: pattern(1, bytes)}}}
	}
	appendSync(t, m, p(1, 9_000))
	kind(t, "a shard at 99 %", write(m, shardID(1, 2), 1, nil, nil), disk.KindFull)
	kind(t, "a payload past 100 %", m.Log().Append(ctx(), p(2, 2_000)), disk.KindFull)
	ok(t, m.Delete(ctx(), shardID(1, 1)))
	ok(t, write(m, shardID(1, 2), 1, pattern(1, 80_000), nil))
}

func TestMemoryRot(t *testing.T) {
	m := NewMemory(1)
	id := shardID(1, 1)
	ok(t, write(m, id, 1, pattern(1, 3*disk.BlockBytes), nil))
	if !m.Corrupt(id, disk.BlockBytes+5) || m.Corrupt(id, 3*disk.BlockBytes) || m.Corrupt(shardID(1, 2), 0) {
		t.Error("wrong byte")
	}
	kind(t, "verify", m.Verify(ctx(), id), disk.KindCorrupt)
	_, err := read(m, id, disk.BlockBytes, 1)
	kind(t, "read", err, disk.KindCorrupt)
	if b, err := read(m, id, 0, disk.BlockBytes); err != nil || len(b) != disk.BlockBytes {
		t.Errorf("a good block: %d bytes, %v", len(b), err)
	}
	m = m.Crash(nil)
	kind(t, "verify after a crash", m.Verify(ctx(), id), disk.KindCorrupt)
	p := disk.Payload{ID: disk.PayloadID{Range: 1}, Data: []byte("x")}
	appendSync(t, m, disk.Append{Payloads: []disk.Payload{p}})
	if !m.CorruptPayload(p.ID) || m.CorruptPayload(disk.PayloadID{}) {
		t.Error("wrong payload")
	}
	_, err = m.Log().Payload(ctx(), p.ID)
	kind(t, "rotten payload", err, disk.KindCorrupt)
	appendSync(t, m, disk.Append{Payloads: []disk.Payload{p}})
	_, err = m.Log().Payload(ctx(), p.ID)
	ok(t, err)
}

func TestMemoryFence(t *testing.T) {
	m := NewMemory(1)
	cause := errors.New("cause")
	m.Fence(cause)
	m.Fence(errors.New("second"))
	<-m.Fenced()
	if !errors.Is(m.Err(), cause) {
		t.Error(m.Err())
	}
	kind(t, "create", write(m, shardID(1, 1), 1, nil, nil), disk.KindFenced)
	kind(t, "sync", m.Log().Sync(ctx()), disk.KindFenced)
	ok(t, m.Close())
}

// TestMemoryCrashes checks that all prefixes happen, and that one moment can be crashed many times.
func TestMemoryCrashes(t *testing.T) {
	m := NewMemory(1)
	for i := range 5 {
		commit(t, m, func(b disk.Batch) { ok(t, b.Set([]byte("n"), fmt.Append(nil, i))) })
		if i == 1 {
			ok(t, m.State().Flush(ctx()))
		}
	}
	seen := map[string]int{}
	r := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		seen[all(t, m.Crash(r))]++
	}
	if len(seen) != 4 || seen["n=1 "] == 0 || seen["n=4 "] == 0 {
		t.Errorf("outcomes %v", seen)
	}
	same(t, "exactly what was flushed", all(t, m.Crash(nil)), "n=1 ")
	same(t, "the original", all(t, m), "n=4 ")
}
