package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/identity"
	"github.com/contender/contender/metashards/clustermap"
)

// A blank folder of a node that has others becomes a new disk by itself: one that was never there before, one that somebody has
// emptied, or a new disk that is mounted where another was; so does one that was set back (see lives.go). One that was a mount
// and is none now is refused: what belongs there is not lost, it only is not mounted.

// errGone says that a folder is not there in which a disk was.
var errGone = errors.New("is not there, and a disk was in it")

// takeBlank makes new disks of blank folders, where that is right.
func (n *Node) takeBlank(ctx context.Context, cluster disk.ClusterID) {
	m := n.topology.Map()
	for _, f := range n.folders {
		setBack := errors.Is(f.err, errSetBack)
		if !f.blank() && !setBack {
			continue
		}
		old := n.diskAt(m, f.dir)
		if f.err = n.mayTake(f, old); f.err == nil && setBack {
			f.err = f.clear(&n.env)
		}
		if f.err == nil {
			f.err = n.take(ctx, f, cluster)
		}
		if f.err != nil {
			f.tell(&n.env)
			continue
		}
		args := []any{"folder", f.dir, "disk", f.ident.Disk}
		if old != nil {
			args = append(args, "instead_of", old.ID)
		}
		n.env.Log.Warn("a blank folder is a new disk now", args...)
	}
}

// diskAt returns the disk that the map shows in a folder of this node, nil if it shows none.
func (n *Node) diskAt(m *clustermap.Map, dir string) *clustermap.Disk {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil
	}
	for i := range m.Disks {
		if d := &m.Disks[i]; d.Node == n.self() && d.Path == path && d.ReplacedBy == 0 {
			return d
		}
	}
	return nil
}

// mayTake says why a blank folder, in which a disk was, perhaps, may not become another; nil if it may.
func (n *Node) mayTake(f *folder, old *clustermap.Disk) error {
	if old == nil {
		return nil
	}
	if _, err := n.env.FS.Stat(f.dir); errors.Is(err, os.ErrNotExist) {
		return &identity.Error{Dir: f.dir, Err: errGone, Detail: fmt.Sprintf("disk %s; mount what belongs there, or make the folder to have it taken as a new disk", old.ID)}
	}
	mount, err := identity.Mounted(f.dir, n.env.Device)
	if err == nil && old.Mount && mount.Known && !mount.Own() && !mutantUnmounted {
		err = &identity.Error{Dir: f.dir, Err: identity.ErrUnmounted, Detail: fmt.Sprintf("disk %s was a mount of its own", old.ID)}
	}
	return err
}

// clear removes what a disk left in the folder that was set back. Its identity goes first: it must not come to be served.
func (f *folder) clear(env *Env) error {
	names, err := env.FS.List(f.dir)
	if err != nil {
		return err
	}
	for _, name := range append([]string{identity.Name}, names...) {
		if identity.Belongs(name) {
			if err := env.FS.RemoveAll(env.FS.PathJoin(f.dir, name)); err != nil {
				return err
			}
		}
	}
	f.ident, f.lives = identity.File{}, nil
	return nil
}

// take makes a blank folder a disk.
func (n *Node) take(ctx context.Context, f *folder, cluster disk.ClusterID) error {
	f.err = nil
	if err := f.claim(&n.env); err != nil {
		return err
	}
	if err := f.prepare(ctx, &n.cfg, &n.env, cluster); err != nil {
		return err
	}
	if err := n.identity.Save(n.env.FS, f.dir); err != nil {
		return err
	}
	return promote(&n.env, []*folder{f})
}
