package disktest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const unspecified = vfs.WriteCategoryUnspecified

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func syncDir(t testing.TB, fs vfs.FS, names ...string) {
	t.Helper()
	for _, name := range names {
		d, err := fs.OpenDir(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func readAll(fs vfs.FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	return slices.Concat(must(io.ReadAll(f))), f.Close()
}

// newLogFS returns a file system with a durable folder d/log that holds a synced file a.seg of n bytes of 'o'.
func newLogFS(t testing.TB, seed uint64, n int) (*FS, vfs.File) {
	t.Helper()
	fs := NewFS(seed)
	if err := fs.MkdirAll("d/log", 0o755); err != nil {
		t.Fatal(err)
	}
	f := must(fs.OpenReadWrite("d/log/a.seg", unspecified))
	must(f.WriteAt(bytes.Repeat([]byte("o"), n), 0))
	if err := f.SyncData(); err != nil {
		t.Fatal(err)
	}
	syncDir(t, fs, "", "d", "d/log")
	return fs, f
}

// TestFSSectors checks over many crashes that each sector is as before or as after, that only the last one may be torn,
// that synced bytes stay, and that all of these outcomes happen.
func TestFSSectors(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(400) {
		fs, f := newLogFS(t, seed, 8*sectorBytes)
		must(f.WriteAt(bytes.Repeat([]byte("s"), sectorBytes), 0))
		if err := f.SyncData(); err != nil {
			t.Fatal(err)
		}
		must(f.WriteAt(bytes.Repeat([]byte("n"), 3*sectorBytes), 2*sectorBytes))
		got := must(readAll(fs.Crash(nil), "d/log/a.seg"))
		if len(got) != 8*sectorBytes {
			t.Fatalf("seed %d: length %d", seed, len(got))
		}
		for s := range 8 {
			sector := string(got[s*sectorBytes : (s+1)*sectorBytes])
			old, fresh := bytes.Count([]byte(sector), []byte("o")), bytes.Count([]byte(sector), []byte("n"))
			switch {
			case s == 0 && sector[0] == 's' && old+fresh == 0:
			case s >= 2 && s < 5 && fresh == sectorBytes:
				seen[fmt.Sprintf("kept %d", s)]++
			case s > 0 && old == sectorBytes:
				seen[fmt.Sprintf("dropped %d", s)]++
			case s == 4 && old+fresh == sectorBytes && sector[0] == 'n' && sector[sectorBytes-1] == 'o':
				seen["torn"]++
			default:
				t.Fatalf("seed %d sector %d: %d old, %d new bytes", seed, s, old, fresh)
			}
		}
	}
	for _, want := range []string{"kept 2", "dropped 2", "kept 3", "dropped 3", "kept 4", "dropped 4", "torn"} {
		if seen[want] < 10 {
			t.Errorf("%s happened %d times", want, seen[want])
		}
	}
}

// TestFSGrowth checks that bytes behind the synced end come back as they were written or as zeros.
func TestFSGrowth(t *testing.T) {
	lengths := map[int]bool{}
	for seed := range uint64(200) {
		fs, f := newLogFS(t, seed, 100)
		must(f.WriteAt(bytes.Repeat([]byte("n"), 6000), 100))
		got := must(readAll(fs.Crash(nil), "d/log/a.seg"))
		lengths[len(got)] = true
		if len(got) < 100 || len(got) > 6100 {
			t.Fatalf("seed %d: length %d", seed, len(got))
		}
		for i, b := range got {
			if i < 100 && b != 'o' || i >= 100 && b != 'n' && b != 0 {
				t.Fatalf("seed %d: byte %d is %q", seed, i, b)
			}
		}
	}
	if !lengths[100] || !lengths[6100] || len(lengths) < 4 {
		t.Errorf("lengths seen: %v", lengths)
	}
}

// TestFSDirectories checks that entries are durable after a sync of their directory, and not before.
func TestFSDirectories(t *testing.T) {
	exists := func(fs vfs.FS, name string) bool {
		_, err := fs.Stat(name)
		return err == nil
	}
	seen := map[string]int{}
	for seed := range uint64(100) {
		fs, _ := newLogFS(t, seed, 10)
		for _, name := range []string{"d/x.sst", "d/log/b.seg"} {
			f := must(fs.Create(name, unspecified))
			must(f.Write([]byte("x")))
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		if err := fs.Rename("d/log/a.seg", "d/log/c.seg"); err != nil {
			t.Fatal(err)
		}
		c := fs.Crash(nil)
		if exists(c, "d/x.sst") {
			t.Fatalf("seed %d: an entry that was not synced outside of the log survived", seed)
		}
		a, b, r := exists(c, "d/log/a.seg"), exists(c, "d/log/b.seg"), exists(c, "d/log/c.seg")
		if a == r || r && !b {
			t.Fatalf("seed %d: no prefix of the changes: a %v b %v c %v", seed, a, b, r)
		}
		seen[fmt.Sprint(a, b, r)]++
		if b && string(must(readAll(c, "d/log/b.seg"))) != "x" {
			t.Fatalf("seed %d: synced bytes lost", seed)
		}
		syncDir(t, fs, "d/log", "d")
		c = fs.Crash(nil)
		if !exists(c, "d/x.sst") || !exists(c, "d/log/b.seg") || !exists(c, "d/log/c.seg") || exists(c, "d/log/a.seg") {
			t.Fatalf("seed %d: synced entries lost", seed)
		}
		if err := fs.Remove("d/log/c.seg"); err != nil {
			t.Fatal(err)
		}
		syncDir(t, fs, "d/log")
		if exists(fs.Crash(nil), "d/log/c.seg") {
			t.Fatalf("seed %d: a removed file came back", seed)
		}
	}
	if len(seen) != 3 {
		t.Errorf("outcomes: %v", seen)
	}
}

// TestFSDeterminism runs one random history of several crashes twenty times.
func TestFSDeterminism(t *testing.T) {
	run := func(seed uint64) (hashes []uint64) {
		r := rand.New(rand.NewPCG(seed, 9))
		fs, _ := newLogFS(t, seed, 1000)
		for range 6 {
			for range 60 {
				name := fmt.Sprintf("d/log/%d.seg", r.IntN(6))
				f := must(fs.OpenReadWrite(name, unspecified))
				b := make([]byte, r.IntN(3000))
				for i := range b {
					b[i] = byte(r.Uint32())
				}
				must(f.WriteAt(b, r.Int64N(20000)))
				switch r.IntN(8) {
				case 0:
					_ = f.Sync()
				case 1:
					syncDir(t, fs, "d/log")
				case 2:
					_ = fs.Rename(name, fmt.Sprintf("d/log/%d.seg", r.IntN(6)))
				case 3:
					_ = fs.Remove(name)
				}
			}
			fs = fs.Crash(nil)
			hashes = append(hashes, fs.Hash())
		}
		return hashes
	}
	for _, seed := range []uint64{1, 2, 3} {
		want := run(seed)
		for range 19 {
			if got := run(seed); !slices.Equal(got, want) {
				t.Fatalf("seed %d: %x, want %x", seed, got, want)
			}
		}
	}
	if slices.Equal(run(1), run(2)) {
		t.Error("two seeds, one history")
	}
}

// TestFSCrashLeavesOriginal checks that neither side of a crash sees what the other writes later.
func TestFSCrashLeavesOriginal(t *testing.T) {
	fs, f := newLogFS(t, 1, 5000)
	before := fs.Hash()
	c := fs.Crash(nil)
	must(must(c.OpenReadWrite("d/log/a.seg", unspecified)).WriteAt([]byte("crashed"), 10))
	if fs.Hash() != before {
		t.Error("the original changed")
	}
	after := c.Hash()
	must(f.WriteAt([]byte("original"), 10))
	if c.Hash() != after {
		t.Error("the crashed one changed")
	}
}

func TestFSCapacity(t *testing.T) {
	fs, f := newLogFS(t, 1, 1000)
	fs.SetCapacity(1500)
	if n, err := f.WriteAt(make([]byte, 800), 1000); n != 500 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("write past the end: %d %v", n, err)
	}
	if u := must(fs.GetDiskUsage("")); u.AvailBytes != 0 || u.UsedBytes != 1500 {
		t.Fatalf("usage %+v", u)
	}
	if err := fs.Rename("d/log/a.seg", "d/log/b.seg"); err != nil {
		t.Fatal(err)
	}
	if err := fs.Remove("d/log/b.seg"); err != nil {
		t.Fatal(err)
	}
	if u := must(fs.GetDiskUsage("")); u.AvailBytes != 1500 {
		t.Fatalf("usage after remove %+v", u)
	}
}

func TestFSCorrupt(t *testing.T) {
	fs, f := newLogFS(t, 1, 1000)
	must(f.WriteAt([]byte("new"), 20))
	if err := fs.Corrupt("d/log/a.seg", 700, 2); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		got := must(readAll(fs.Crash(nil), "d/log/a.seg"))
		if got[699] != 'o' || got[700] != ^byte('o') || got[701] != ^byte('o') || got[702] != 'o' {
			t.Fatalf("%q", got[699:703])
		}
	}
}

func TestFSErrors(t *testing.T) {
	fs, f := newLogFS(t, 1, 10)
	_, err := fs.Open("d/nothing")
	checkIs(t, err, os.ErrNotExist)
	checkIs(t, fs.Remove("d/nothing"), os.ErrNotExist)
	checkIs(t, fs.Rename("d/nothing", "d/x"), os.ErrNotExist)
	checkIs(t, fs.Remove("d/log"), syscall.ENOTEMPTY)
	checkIs(t, fs.Link("d/log/a.seg", "d/log/a.seg"), os.ErrExist)
	_, err = must(fs.Open("d/log/a.seg")).Write([]byte("x"))
	checkIs(t, err, errReadOnly)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("x"), 0)
	checkIs(t, err, os.ErrClosed)
	l := must(fs.Lock("d/LOCK"))
	_, err = fs.Lock("d/LOCK")
	checkIs(t, err, syscall.EAGAIN)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	must(fs.Lock("d/LOCK"))
	must(fs.Crash(nil).Lock("d/LOCK"))
	if err := fs.RemoveAll("d"); err != nil {
		t.Fatal(err)
	}
	if names := must(fs.List("")); len(names) != 0 {
		t.Errorf("left: %v", names)
	}
}

func checkIs(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
}

// TestFSPebble runs a real Pebble without its log over crashes: what was flushed is there, in a prefix.
func TestFSPebble(t *testing.T) {
	fs, _ := newLogFS(t, 7, 10)
	flushed := 0
	for round := range 10 {
		db, err := pebble.Open("d/state", &pebble.Options{FS: fs, DisableWAL: true, Logger: quiet{}})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if round == 0 {
			syncDir(t, fs, "d")
		}
		for i := range flushed {
			if _, c, err := db.Get(fmt.Appendf(nil, "%05d", i)); err != nil {
				t.Fatalf("round %d: row %d: %v", round, i, err)
			} else if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 50 {
			if err := db.Set(fmt.Appendf(nil, "%05d", flushed+i), make([]byte, 500), pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
		flushed += 50
		if err := db.Set([]byte("unflushed"), nil, pebble.NoSync); err != nil {
			t.Fatal(err)
		}
		next := fs.Crash(nil)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		fs = next
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(string, ...any)             {}
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func BenchmarkFSCrash(b *testing.B) {
	fs, f := newLogFS(b, 1, 256<<10)
	for b.Loop() {
		must(f.WriteAt(make([]byte, 20000), 1000))
		fs.Crash(nil)
		_ = f.Sync()
	}
}
