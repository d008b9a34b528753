// Package mapcopy keeps a node's copy of the cluster map: in memory for all who ask, and as a file on each of the node's
// disks, so that a node that starts knows whom to ask. The map in the system range decides; a copy is never newer than
// what the system range acknowledged, only older.
package mapcopy

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/clustermap"
)

// File is the name of the copy within a disk's folder.
const File = "cluster-map.json"

// fileBytesMax bounds what is read of a copy.
const fileBytesMax = 256 << 20

// recentMax is how many changes are kept, so that others can be told them instead of the map.
const recentMax = 100

// Copy is a metashards.Topology. It is safe for concurrent use.
type Copy struct {
	mu      sync.Mutex
	m       *clustermap.Map
	recent  clustermap.Tail // the changes that made it what it is, as far as they are known
	changed chan struct{}
}

var _ metashards.Topology = (*Copy)(nil)

// New returns a copy that holds m.
func New(m *clustermap.Map) *Copy { return &Copy{m: m, changed: make(chan struct{})} }

// Map returns the newest map known.
func (c *Copy) Map() *clustermap.Map {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m
}

// Changed is closed when a newer map comes.
func (c *Copy) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// Offer takes a map if it is newer than the one held, and reports whether it did. If changes lead from the one held to it,
// they are kept.
func (c *Copy) Offer(m *clustermap.Map, changes ...*clustermap.Delta) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.Revision <= c.m.Revision {
		return false
	}
	if len(changes) == 0 || changes[0].From != c.m.Revision {
		c.recent.Deltas = nil
	}
	all := slices.Concat(c.recent.Deltas, changes) // those who hold the list keep theirs
	c.recent.Deltas = all[max(0, len(all)-recentMax):]
	c.m = m
	close(c.changed)
	c.changed = make(chan struct{})
	return true
}

// Since returns the changes that lead from a revision to the map that is held, and that map; none if they are not known.
func (c *Copy) Since(revision uint64) (*clustermap.Map, []*clustermap.Delta) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m, c.recent.Since(revision)
}

// Save writes an encoded map into a folder: after a crash the folder holds the old copy or the new one.
func Save(fs vfs.FS, dir string, b []byte) (err error) {
	path := fs.PathJoin(dir, File)
	defer func() {
		if err != nil {
			err = fmt.Errorf("save the copy of the cluster map in %s: %w", dir, err)
		}
	}()
	f, err := fs.Create(path+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(path+".new", path); err != nil {
		return err
	}
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Load reads the copy in a folder; os.ErrNotExist if there is none.
func Load(fs vfs.FS, dir string) (*clustermap.Map, error) {
	f, err := fs.Open(fs.PathJoin(dir, File))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, fileBytesMax))
	if err != nil {
		return nil, fmt.Errorf("read the copy of the cluster map in %s: %w", dir, err)
	}
	m, err := clustermap.Unmarshal(b)
	if err != nil {
		return nil, fmt.Errorf("copy of the cluster map in %s: %w", dir, err)
	}
	return m, nil
}

// LoadNewest reads the copies in several folders and returns the newest; os.ErrNotExist if none has a readable one.
func LoadNewest(fs vfs.FS, dirs []string) (*clustermap.Map, error) {
	var newest *clustermap.Map
	errs := []error{fmt.Errorf("no folder holds a copy of the cluster map: %w", os.ErrNotExist)}
	for _, d := range dirs {
		m, err := Load(fs, d)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if newest == nil || m.Revision > newest.Revision {
			newest = m
		}
	}
	if newest == nil {
		return nil, errors.Join(errs...)
	}
	return newest, nil
}
