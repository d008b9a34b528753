package node

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/disk/identity"
)

// cuts is a file system that keeps what a power cut would leave of it before each of its changes.
type cuts struct {
	*disktest.FS
	mu    sync.Mutex
	rand  *rand.Rand
	every int // one in so many changes is kept
	seen  int
	left  []*disktest.FS
	off   bool
}

func (c *cuts) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen++
	if !c.off && c.rand.IntN(c.every) == 0 {
		c.left = append(c.left, c.Crash(c.rand))
	}
}

// end stops the cutting and returns what was kept.
func (c *cuts) end() []*disktest.FS {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = true
	return c.left
}

func (c *cuts) opened(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &cutsFile{f, c}, nil
}

func (c *cuts) Create(name string, k vfs.DiskWriteCategory) (vfs.File, error) {
	c.cut()
	return c.opened(c.FS.Create(name, k))
}

func (c *cuts) OpenReadWrite(name string, k vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	c.cut()
	return c.opened(c.FS.OpenReadWrite(name, k, o...))
}

func (c *cuts) ReuseForWrite(from, to string, k vfs.DiskWriteCategory) (vfs.File, error) {
	c.cut()
	return c.opened(c.FS.ReuseForWrite(from, to, k))
}

func (c *cuts) OpenDir(name string) (vfs.File, error) { return c.opened(c.FS.OpenDir(name)) }

func (c *cuts) Rename(from, to string) error {
	c.cut()
	return c.FS.Rename(from, to)
}

func (c *cuts) Remove(name string) error {
	c.cut()
	return c.FS.Remove(name)
}

func (c *cuts) MkdirAll(name string, mode os.FileMode) error {
	c.cut()
	return c.FS.MkdirAll(name, mode)
}

type cutsFile struct {
	vfs.File
	c *cuts
}

func (f *cutsFile) Write(p []byte) (int, error) {
	f.c.cut()
	return f.File.Write(p)
}

func (f *cutsFile) WriteAt(p []byte, off int64) (int, error) {
	f.c.cut()
	return f.File.WriteAt(p, off)
}

func (f *cutsFile) Sync() error {
	f.c.cut()
	return f.File.Sync()
}

func (f *cutsFile) SyncData() error {
	f.c.cut()
	return f.File.SyncData()
}

// memoryConfig is a configuration for file systems in memory: everything is small.
func memoryConfig() Config {
	cfg := testConfig(fourDirs("data"))
	cfg.SegmentBytes = 256 << 10
	cfg.CapacityBytes = 256 << 20
	return cfg
}

func memoryEnv(fs vfs.FS, p *pipes) Env {
	env := testEnv(fs)
	env.Listen, env.Dial = p.Listen, p.Dial
	return env
}

// TestFoundingIsCrashSafe cuts the power at many moments of a founding and starts again with --init: there is a cluster
// that works, and a root key that opens it: the one in the file, as none was given.
func TestFoundingIsCrashSafe(t *testing.T) {
	var left []*disktest.FS
	synctest.Test(t, func(t *testing.T) {
		fs := &cuts{FS: disktest.NewFS(1), rand: rand.New(rand.NewPCG(1, 1)), every: pick(10, 1)}
		p := newPipes()
		cfg := memoryConfig()
		cfg.AccessKey, cfg.SecretKey = "", ""
		s := serveOn(t, cfg, memoryEnv(fs, p), p.transport())
		left = fs.end()
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d changes until ready, the power cut at %d of them", fs.seen, len(left))
	})
	founded, kept := 0, 0
	for i, fs := range left {
		synctest.Test(t, func(t *testing.T) {
			p := newPipes()
			cfg := memoryConfig()
			cfg.AccessKey, cfg.SecretKey = "", ""
			if was, err := identity.Load(fs, cfg.Dirs[0], nil); err == nil && was.State == identity.Member {
				kept++
			} else {
				founded++
			}
			n, err := Open(t.Context(), cfg, memoryEnv(fs, p))
			if err != nil {
				t.Fatalf("cut %d: %v", i, err)
			}
			k, _, ok := n.readCredentials()
			if !ok {
				t.Fatalf("cut %d: no root key", i)
			}
			s := newServerWithKeys(t, n, p.transport(), k)
			s.awaitReady()
			s.createBucket()
			s.mustPut("small", body("small", 3000))
			s.mustPut("large", body("large", 100<<10))
			s.mustGet("small", body("small", 3000))
			s.mustGet("large", body("large", 100<<10))
			if st, err := s.Status(t.Context()); err != nil || !st.Healthy {
				t.Errorf("cut %d: status %+v %v", i, st, err)
			}
			if err := s.close(); err != nil {
				t.Errorf("cut %d: %v", i, err)
			}
		})
	}
	t.Logf("%d founded anew, %d went on", founded, kept)
	if founded == 0 || kept == 0 {
		t.Errorf("the cuts do not cover both sides of the founding: %d before, %d after", founded, kept)
	}
}

// refused opens a node that must not start, and returns why it did not.
func refused(t *testing.T, cfg Config, env Env) string {
	t.Helper()
	n, err := Open(t.Context(), cfg, env)
	if err == nil {
		t.Fatal("it started", n.close())
	}
	return err.Error()
}

func writeText(t *testing.T, fs vfs.FS, name, text string) {
	t.Helper()
	if err := fs.MkdirAll(fs.PathDir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(f, text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestInitRefusesForeignFolders(t *testing.T) {
	for _, c := range []struct {
		name, file, text string
		init             bool
		says             string
	}{
		{"a file of somebody else", "data/disk3/thesis.tex", "x", true, "not empty"},
		{"a damaged identity", "data/disk2/identity", "x", true, "damaged"},
		{"no --init", "", "", false, "--init"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := disktest.NewFS(1)
			if c.file != "" {
				writeText(t, fs, c.file, c.text)
			}
			cfg := memoryConfig()
			cfg.Init = c.init
			says := refused(t, cfg, memoryEnv(fs, newPipes()))
			if !strings.Contains(says, c.says) {
				t.Errorf("%q does not say %q", says, c.says)
			}
			for _, dir := range cfg.Dirs {
				if _, err := identity.Load(fs, dir, nil); !errors.Is(err, identity.ErrNoIdentity) && !errors.Is(err, identity.ErrDamaged) {
					t.Errorf("%s was founded: %v", dir, err)
				}
			}
			if c.file == "" {
				return
			}
			f, err := fs.Open(c.file)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(f); err != nil || string(b) != c.text {
				t.Errorf("the file is now %q %v", b, err)
			}
		})
	}
}

// TestLostAndFoundIsEmpty: the root of a fresh file system may be founded on.
func TestLostAndFoundIsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, p := disktest.NewFS(1), newPipes()
		if err := fs.MkdirAll("data/disk1/lost+found", 0o700); err != nil {
			t.Fatal(err)
		}
		s := serveOn(t, memoryConfig(), memoryEnv(fs, p), p.transport())
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
}

// TestTwoClustersAreRefused: folders of two clusters are never mixed.
func TestTwoClustersAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := disktest.NewFS(1)
		cfg := memoryConfig()
		one, two := cfg, cfg
		one.Dirs, two.Dirs = cfg.Dirs[:2], cfg.Dirs[2:]
		for _, c := range []Config{one, two} {
			p := newPipes()
			if err := serveOn(t, c, memoryEnv(fs, p), p.transport()).close(); err != nil {
				t.Fatal(err)
			}
		}
		if says := refused(t, cfg, memoryEnv(fs, newPipes())); !strings.Contains(says, "belongs to cluster") {
			t.Errorf("%q does not tell of the two clusters", says)
		}
		more := cfg
		more.Dirs = cfg.Dirs[:3] // one of them is foreign
		p := newPipes()
		s := serveOn(t, more, memoryEnv(fs, p), p.transport())
		if f := s.folders[2]; f.disk != nil || !errors.Is(f.err, identity.ErrForeignCluster) || len(s.disks) != 2 {
			t.Errorf("%d disks, of the foreign folder it says %v", len(s.disks), f.err)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestRestartNeedsNoInit restarts without --init, and with it, and finds everything.
func TestRestartNeedsNoInit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs, cluster := disktest.NewFS(1), ""
		for life, init := range []bool{true, false, true} {
			p := newPipes()
			cfg := memoryConfig()
			cfg.Init = init
			s := serveOn(t, cfg, memoryEnv(fs, p), p.transport())
			if life == 0 {
				cluster = s.topology.Map().Cluster
				s.createBucket()
				s.mustPut("k", body("k", 100<<10))
			}
			s.mustGet("k", body("k", 100<<10))
			if c := s.topology.Map().Cluster; c != cluster {
				t.Errorf("life %d: cluster %s, founded as %s", life, c, cluster)
			}
			if err := s.close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestRootKeysBelongToTheCluster: no keys or the same keys are right at a restart, others end the server with an error.
func TestRootKeysBelongToTheCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := disktest.NewFS(1)
		for _, c := range []struct {
			access, secret string
			refused        bool
		}{
			{testAccess, testSecret, false},
			{"", "", false},
			{testAccess, testSecret + "x", true},
			{"OTHERKEY", testSecret, true},
			{testAccess, testSecret, false},
		} {
			p := newPipes()
			cfg := memoryConfig()
			cfg.AccessKey, cfg.SecretKey = c.access, c.secret
			n, err := Open(t.Context(), cfg, memoryEnv(fs, p))
			if err != nil {
				t.Fatal(err)
			}
			s := newServer(t, n, p.transport())
			if c.refused {
				err := <-s.served
				s.stop = nil
				if !errors.Is(err, errOtherRootKey) {
					t.Errorf("served with %q: %v", c.access, err)
				}
				continue
			}
			s.awaitReady()
			if id, err := n.identities.Lookup(t.Context(), testAccess); err != nil || id.Secret != testSecret {
				t.Errorf("the root key is %+v %v", id, err)
			}
			if err := s.close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestMadeRootKeys: without keys in the environment they are made anew for each cluster, for their owner's eyes only.
func TestMadeRootKeys(t *testing.T) {
	seen := map[rootKey]bool{}
	for range 2 {
		cfg := testConfig(fourDirs(t.TempDir()))
		cfg.AccessKey, cfg.SecretKey = "", ""
		env := testEnv(vfs.Default)
		n, err := Open(t.Context(), cfg, env)
		if err != nil {
			t.Fatal(err)
		}
		k, file, ok := n.readCredentials()
		if !ok || len(k.AccessKey) < 16 || len(k.SecretKey) < 32 || seen[k] {
			t.Errorf("made keys %+v", k)
		}
		seen[k] = true
		if want := filepath.Join(cfg.Dirs[0], "root-credentials"); file != want {
			t.Errorf("the keys are in %s, want %s", file, want)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v %v", file, info.Mode(), err)
		}
		if g := n.Greeting(); g.FromEnvironment || g.AccessKey != k.AccessKey || g.CredentialsFile != file {
			t.Errorf("greeting %+v", g)
		}
		s := newServerWithKeys(t, n, &http.Transport{}, k)
		s.awaitReady()
		s.createBucket()
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}
}

// TestSamePortAgain: port 0 is picked once, and kept.
func TestSamePortAgain(t *testing.T) {
	dirs := fourDirs(t.TempDir())
	var first Greeting
	for life := range 3 {
		n, err := Open(t.Context(), testConfig(dirs), testEnv(vfs.Default))
		if err != nil {
			t.Fatal(err)
		}
		g := n.Greeting()
		if life == 0 {
			first = g
		}
		if g != first || strings.HasSuffix(g.S3URL, ":0") || strings.HasSuffix(g.Peer, ":0") {
			t.Errorf("life %d: %+v, before %+v", life, g, first)
		}
		if err := n.close(); err != nil {
			t.Error(err)
		}
	}
}

// TestOneFolderUnderTwoNames: a link to another folder is found out, at founding and later, on the real file system.
func TestOneFolderUnderTwoNames(t *testing.T) {
	dirs := fourDirs(t.TempDir())
	env := testEnv(vfs.Default)
	env.Device, env.Inode = statDevice, statInode
	if err := os.Mkdir(dirs[0], 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dirs[0], dirs[3]); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		says := refused(t, testConfig(dirs), env)
		if !strings.Contains(says, dirs[0]) || !strings.Contains(says, dirs[3]) || !strings.Contains(says, "one and the same") {
			t.Errorf("%q", says)
		}
		// The second time the folder belongs to a cluster.
		if err := serve(t, testConfig(dirs[:3]), env).close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestInodeSeam: folders are compared by device and number together.
func TestInodeSeam(t *testing.T) {
	fs := []*folder{{dir: "a"}, {dir: "b"}, {dir: "gone"}, {dir: "gone too"}}
	device := map[string]uint64{"a": 1, "b": 1}
	inode := map[string]uint64{"a": 7, "b": 7}
	ask := func(m map[string]uint64) func(string) (uint64, error) {
		return func(dir string) (uint64, error) {
			if n, ok := m[dir]; ok {
				return n, nil
			}
			return 0, fmt.Errorf("%s: %w", dir, os.ErrNotExist)
		}
	}
	env := Env{Device: ask(device), Inode: ask(inode)}
	if err := distinct(&env, fs); err == nil {
		t.Error("one folder twice is accepted")
	}
	device["b"] = 2
	if err := distinct(&env, fs); err != nil {
		t.Errorf("same number on another device: %v", err)
	}
	if err := distinct(&Env{Device: ask(device)}, fs); err != nil {
		t.Error(err)
	}
}
