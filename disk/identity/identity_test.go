package identity_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/zeebo/xxh3"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/disk/identity"
)

var cluster = disk.ClusterID{1, 2, 3}

func sample() identity.File {
	return identity.File{
		Cluster: cluster, Disk: 77, SegmentBytes: 256 << 10,
		Created: time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC),
	}
}

// mounts is a Device that knows a few folders.
type mounts map[string]uint64

func (m mounts) device(dir string) (uint64, error) {
	if d, ok := m[dir]; ok {
		return d, nil
	}
	return 0, syscall.ENOENT
}

func found(t testing.TB, fs vfs.FS, device identity.Device) identity.File {
	t.Helper()
	f, err := identity.Found(fs, "a/d", sample(), device)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func is(t testing.TB, err, want error) {
	t.Helper()
	var e *identity.Error
	if !errors.Is(err, want) || !errors.As(err, &e) {
		t.Errorf("%v, want an identity error %v", err, want)
		return
	}
	if e.Dir != "a/d" || !strings.Contains(err.Error(), "a/d") {
		t.Errorf("%v does not name the folder", err)
	}
}

// TestLife founds, boots and promotes a folder, with a crash after each step.
func TestLife(t *testing.T) {
	fs := disktest.NewFS(1)
	_, err := identity.Load(fs, "a/d", nil)
	is(t, err, identity.ErrNoIdentity)
	want := found(t, fs, nil)
	if want.State != identity.Founding || want.Boot != 0 || want.Format != 1 {
		t.Errorf("founded %+v", want)
	}
	for boot := range uint64(5) {
		fs = fs.Crash(nil)
		if got, err := identity.Load(fs, "a/d", nil); err != nil || got != want {
			t.Fatalf("loaded %+v %v, want %+v", got, err, want)
		}
		want.Boot = boot + 1
		if got, err := identity.Boot(fs, "a/d", cluster, nil); err != nil || got != want {
			t.Fatalf("booted %+v %v, want %+v", got, err, want)
		}
	}
	want.State = identity.Member
	for range 2 {
		if got, err := identity.Promote(fs, "a/d", nil); err != nil || got != want {
			t.Fatalf("promoted %+v %v", got, err)
		}
		fs = fs.Crash(nil)
	}
	if got, err := identity.Boot(fs, "a/d", disk.ClusterID{}, nil); err != nil || got.Boot != 6 || got.State != identity.Member {
		t.Errorf("booted %+v %v", got, err)
	}
	_, err = identity.Boot(fs, "a/d", disk.ClusterID{9}, nil)
	is(t, err, identity.ErrForeignCluster)
	if got, err := identity.Load(fs, "a/d", nil); err != nil || got.Boot != 6 {
		t.Errorf("a refused boot counted: %+v %v", got, err)
	}
	_, err = identity.Found(fs, "a/d", sample(), nil)
	is(t, err, identity.ErrNotEmpty)
}

// TestCrashes fails each operation of a boot in turn and crashes there, many ways: the boot count is the old or the new
// one, and the new one if Boot said so.
func TestCrashes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	seen := map[uint64]int{}
	for nth := 1; ; nth++ {
		fs := disktest.NewFS(uint64(nth))
		found(t, fs, nil)
		faults := disktest.NewFaults(fs)
		fault := faults.Add(disktest.Rule{Op: disktest.OpChange, Nth: nth, Times: disktest.Forever, Err: syscall.EIO, Short: true})
		f, err := identity.Boot(faults, "a/d", cluster, nil)
		if fault.Strikes() > 0 {
			is(t, err, syscall.EIO)
		} else if err != nil || f.Boot != 1 {
			t.Fatal(f, err)
		}
		for range 50 {
			got, lost := identity.Load(fs.Crash(r), "a/d", nil)
			if lost != nil || got.Boot > 1 || err == nil && got.Boot != 1 {
				t.Fatalf("operation %d: %+v %v", nth, got, lost)
			}
			seen[got.Boot]++
		}
		if fault.Strikes() == 0 {
			break
		}
	}
	if seen[0] == 0 || seen[1] == 0 {
		t.Errorf("outcomes %v", seen)
	}
}

// TestFoundingCrashes fails each operation of a founding in turn and crashes there: the folder is founded, or can be.
func TestFoundingCrashes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for nth := 1; ; nth++ {
		fs := disktest.NewFS(uint64(nth))
		faults := disktest.NewFaults(fs)
		fault := faults.Add(disktest.Rule{Op: disktest.OpChange, Nth: nth, Times: disktest.Forever, Err: syscall.EIO, Short: true})
		_, err := identity.Found(faults, "a/d", sample(), nil)
		if fault.Strikes() > 0 {
			is(t, err, syscall.EIO)
		}
		for range 30 {
			after := fs.Crash(r)
			if _, lost := identity.Load(after, "a/d", nil); lost != nil {
				is(t, lost, identity.ErrNoIdentity)
				if err == nil {
					t.Fatalf("operation %d: %v", nth, lost)
				}
			}
			found(t, after, nil)
		}
		if fault.Strikes() == 0 {
			break
		}
	}
}

func TestMounts(t *testing.T) {
	m := mounts{"a/d": 5, "a/d/..": 1}
	fs := disktest.NewFS(1)
	if f := found(t, fs, m.device); !f.Mount.Own() || f.Mount.Device != 5 || f.Mount.Parent != 1 {
		t.Errorf("%+v", f.Mount)
	}
	m["a/d"] = 8 // numbers of devices change with a boot
	if _, err := identity.Boot(fs, "a/d", cluster, m.device); err != nil {
		t.Error(err)
	}
	m["a/d"] = 1
	_, err := identity.Boot(fs, "a/d", cluster, m.device)
	is(t, err, identity.ErrUnmounted)
	_, err = identity.Promote(fs, "a/d", m.device)
	is(t, err, identity.ErrUnmounted)
	_, err = identity.Load(fs, "a/d", mounts{}.device)
	is(t, err, syscall.ENOENT)

	fs = disktest.NewFS(1)
	found(t, fs, m.device)
	m["a/d"] = 9 // moved to a disk of its own since
	if _, err := identity.Boot(fs, "a/d", cluster, m.device); err != nil {
		t.Error(err)
	}
}

func TestEmpty(t *testing.T) {
	fs := disktest.NewFS(1)
	check := func(want bool) {
		t.Helper()
		if got, err := identity.Empty(fs, "a/d"); err != nil || got != want {
			t.Errorf("empty: %v %v, want %v", got, err, want)
		}
	}
	check(true)
	for _, dir := range []string{"a/d", "a/d/lost+found"} {
		if err := fs.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		check(true)
	}
	l, err := identity.Lock(fs, "a/d")
	if err != nil {
		t.Fatal(err)
	}
	check(true)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Create("a/d/photo", vfs.WriteCategoryUnspecified); err != nil {
		t.Fatal(err)
	}
	check(false)
	_, err = identity.Found(fs, "a/d", sample(), nil)
	is(t, err, identity.ErrNotEmpty)
}

func TestLock(t *testing.T) {
	t.Run("memory", func(t *testing.T) { testLock(t, disktest.NewFS(1), "a/d") })
	t.Run("system", func(t *testing.T) { testLock(t, vfs.Default, t.TempDir()+"/d") })
}

func testLock(t *testing.T, fs vfs.FS, dir string) {
	if _, err := identity.Lock(fs, dir); !errors.Is(err, identity.ErrNoIdentity) {
		t.Errorf("lock of nothing: %v", err)
	}
	if err := identity.Make(fs, dir); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l, err := identity.Lock(fs, dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := identity.Lock(fs, dir); !errors.Is(err, identity.ErrLocked) {
			t.Errorf("second lock: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSystem runs on the operating system's files.
func TestSystem(t *testing.T) {
	dir := t.TempDir() + "/x/d"
	want, err := identity.Found(vfs.Default, dir, sample(), identity.SystemDevice)
	if err != nil {
		t.Fatal(err)
	}
	if !want.Mount.Known || want.Mount.Own() {
		t.Errorf("%+v", want.Mount)
	}
	want.Boot = 1
	if got, err := identity.Boot(vfs.Default, dir, cluster, identity.SystemDevice); err != nil || got != want {
		t.Errorf("%+v %v, want %+v", got, err, want)
	}
}

// sealed returns a line with a right checksum.
func sealed(line string) []byte {
	return fmt.Appendf(nil, "%s\nxxh3 %016x\n", line, xxh3.HashString(line))
}

func TestDecode(t *testing.T) {
	const good = `{"format":1,"cluster":"01020300000000000000000000000000","disk":"000000000000004d","boot":"3",` +
		`"state":"member","created":"2026-10-01T12:00:00Z","segment_bytes":262144,"mount":{"device":"5","parent":"1"}}`
	want := sample()
	want.Format, want.Boot, want.State = 1, 3, identity.Member
	want.Mount = identity.Mount{Device: 5, Parent: 1, Known: true}
	if got, err := identity.Decode(sealed(good)); err != nil || got != want {
		t.Fatalf("%+v %v, want %+v", got, err, want)
	}
	if b, err := want.Encode(); err != nil || !bytes.Equal(b, sealed(good)) {
		t.Errorf("encoded %s %v", b, err)
	}
	for i := range sealed(good) {
		b := sealed(good)
		b[i] ^= 4
		if _, err := identity.Decode(b); !errors.Is(err, identity.ErrDamaged) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	bad := map[string]error{
		"":             identity.ErrDamaged,
		`{"format":2}`: identity.ErrFutureFormat,
		`{"format":0}`: identity.ErrDamaged,
		strings.Replace(good, `:1,`, `:1,"more":1,`, 1):       identity.ErrDamaged,
		strings.Replace(good, "4d", "00", 1):                  identity.ErrDamaged,
		strings.Replace(good, "010203", "000000", 1):          identity.ErrDamaged,
		strings.Replace(good, "member", "guest", 1):           identity.ErrDamaged,
		strings.Replace(good, "262144", "-1", 1):              identity.ErrDamaged,
		strings.Replace(good, `"boot":"3"`, `"boot":"-3"`, 1): identity.ErrDamaged,
	}
	for line, want := range bad {
		if _, err := identity.Decode(sealed(line)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", line, err, want)
		}
	}
	fs := disktest.NewFS(1)
	found(t, fs, nil)
	if err := fs.Corrupt("a/d/identity", 20, 1); err != nil {
		t.Fatal(err)
	}
	_, err := identity.Load(fs, "a/d", nil)
	is(t, err, identity.ErrDamaged)
}

// FuzzDecode seals any line, so that the fuzzer gets past the checksum.
func FuzzDecode(f *testing.F) {
	b, err := func() ([]byte, error) {
		s := sample()
		s.Format, s.State = 1, identity.Founding
		return s.Encode()
	}()
	if err != nil {
		f.Fatal(err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	f.Add(line, true)
	f.Add(string(b), false)
	f.Add(`{"format":2}`, true)
	f.Fuzz(func(t *testing.T, line string, seal bool) {
		b := []byte(line)
		if seal {
			b = sealed(line)
		}
		got, err := identity.Decode(b)
		if err != nil {
			if !errors.Is(err, identity.ErrDamaged) && !errors.Is(err, identity.ErrFutureFormat) {
				t.Fatal(err)
			}
			return
		}
		again, err := got.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := identity.Decode(again)
		got.Created = got.Created.Truncate(time.Second)
		if err != nil || back != got {
			t.Fatalf("%+v %v, want %+v", back, err, got)
		}
	})
}
