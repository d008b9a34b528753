package node

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/identity"
	"github.com/contender/contender/disk/local"
	"github.com/contender/contender/metashards/mapcopy"
)

// credentialsFile is where made root keys are written, in the first folder.
const credentialsFile = "root-credentials"

// A folder is one DIR of the command line. If it cannot take part, err says why and disk is nil; the node runs on with
// the others.
type folder struct {
	dir   string
	empty bool
	lock  io.Closer
	ident identity.File
	lives []life // of the disk, the last one is now's
	disk  *local.Disk
	err   error
	aside aside // does what is not to wait for it
}

// examine locks every folder and reads its identity.
func examine(cfg *Config, env *Env) []*folder {
	fs := make([]*folder, 0, len(cfg.Dirs))
	for _, dir := range cfg.Dirs {
		f := &folder{dir: dir}
		fs = append(fs, f)
		if f.empty, f.err = identity.Empty(env.FS, dir); f.err != nil {
			continue
		}
		if f.lock, f.err = identity.Lock(env.FS, dir); f.err != nil {
			continue
		}
		f.ident, f.err = identity.Load(env.FS, dir, env.Device)
	}
	return fs
}

// distinct refuses folders that are one directory under several names: their disks would write over each other. A folder
// that cannot be looked at is left out; opening it tells why.
func distinct(env *Env, fs []*folder) error {
	if env.Inode == nil {
		return nil
	}
	type place struct{ device, inode uint64 }
	seen := map[place]string{}
	for _, f := range fs {
		device, err := env.Device(f.dir)
		if err != nil {
			continue
		}
		inode, err := env.Inode(f.dir)
		if err != nil {
			continue
		}
		if other, ok := seen[place{device, inode}]; ok {
			return fmt.Errorf("folders %s and %s are one and the same directory: each DIR must be its own", other, f.dir)
		}
		seen[place{device, inode}] = f.dir
	}
	return nil
}

// closeFolders gives folders up. A fenced disk stays as it is.
func closeFolders(fs []*folder) error {
	var errs []error
	for _, f := range fs {
		if f.disk != nil && f.disk.Err() == nil {
			errs = append(errs, f.disk.Close())
		}
		if f.lock != nil {
			errs = append(errs, f.lock.Close())
		}
		f.disk, f.lock = nil, nil
	}
	return errors.Join(errs...)
}

// clusterOf returns the cluster that most of the member folders belong to; zero if there is no member. As many of another one
// are an error: nobody can say which is meant.
func clusterOf(fs []*folder) (c disk.ClusterID, err error) {
	count := map[disk.ClusterID]int{}
	for _, f := range fs {
		if f.err == nil && f.ident.State == identity.Member {
			count[f.ident.Cluster]++
		}
	}
	for _, f := range fs { // in their order, so that it is the same each time
		other := f.ident.Cluster
		switch {
		case count[other] > count[c]:
			c, err = other, nil
		case other != c && count[other] > 0 && count[other] == count[c]:
			err = fmt.Errorf("folder %s belongs to cluster %s, as many others to %s: give only folders of one cluster", f.dir, other, c)
		}
	}
	return c, err
}

// adopt readies the folders of a cluster that exists: members are opened, folders whose founding was cut short just
// before its end are promoted, all others stay out with their reason, blank ones for now (see takeBlank).
func adopt(ctx context.Context, cfg *Config, env *Env, fs []*folder, cluster disk.ClusterID) {
	for _, f := range fs {
		if f.err == nil && f.ident.Cluster == cluster && f.ident.State == identity.Founding {
			f.ident, f.err = identity.Promote(env.FS, f.dir, env.Device)
		}
		if f.err == nil {
			f.err = f.open(ctx, cfg, env, cluster)
		}
		if f.err != nil && !f.blank() {
			f.tell(env)
		}
	}
}

// tell says that the folder takes no part, and why.
func (f *folder) tell(env *Env) {
	env.Log.Warn("a folder takes no part", "folder", f.dir, "error", f.err)
}

// blank reports whether nothing is in the folder that could be anybody's.
func (f *folder) blank() bool { return f.empty && errors.Is(f.err, identity.ErrNoIdentity) }

// open raises the boot count and opens the disk.
func (f *folder) open(ctx context.Context, cfg *Config, env *Env, cluster disk.ClusterID) (err error) {
	if f.ident, err = identity.Boot(env.FS, f.dir, cluster, env.Device); err != nil {
		return err
	}
	f.disk, err = local.Open(ctx, local.Options{
		FS: env.FS, Dir: f.dir, Cluster: cluster, ID: f.ident.Disk, Boot: f.ident.Boot,
		Rand: env.Rand, Logger: env.Log.With("disk", f.dir), SegmentBytes: f.ident.SegmentBytes, CapacityBytes: cfg.CapacityBytes,
	})
	return err
}

// mayFound says whether the folders may become a new cluster, nil if so.
func mayFound(cfg *Config, fs []*folder) error {
	for _, f := range fs {
		switch {
		case f.err == nil || f.empty && errors.Is(f.err, identity.ErrNoIdentity):
			// Empty, or left over from a founding that did not come to its end.
		case errors.Is(f.err, identity.ErrNoIdentity) && cfg.Init:
			return fmt.Errorf("folder %s is not empty and holds no disk of Contender: nothing is founded there", f.dir)
		default:
			return f.err
		}
	}
	if !cfg.Init {
		return errors.New("no folder belongs to a cluster yet: start with --init to found one, or with --join to become part of one")
	}
	return nil
}

// drawCluster draws the id of a new cluster.
func drawCluster(r io.Reader) (cluster disk.ClusterID, err error) {
	if _, err := io.ReadFull(r, cluster[:]); err != nil {
		return cluster, fmt.Errorf("draw a cluster id: %w", err)
	}
	return cluster, nil
}

// prepare makes the folders new disks of a cluster, still in the state Founding: until the first of them is promoted
// the founding, or the joining, may be done anew.
func prepare(ctx context.Context, cfg *Config, env *Env, fs []*folder, cluster disk.ClusterID) error {
	for _, f := range fs {
		if err := f.prepare(ctx, cfg, env, cluster); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the folder a new disk of a cluster, still in the state Founding.
func (f *folder) prepare(ctx context.Context, cfg *Config, env *Env, cluster disk.ClusterID) error {
	for _, left := range []string{"log", "state", mapcopy.File, credentialsFile, portsFile, authorityFile} {
		if err := env.FS.RemoveAll(env.FS.PathJoin(f.dir, left)); err != nil {
			return fmt.Errorf("clear what an unfinished founding left: %w", err)
		}
	}
	id, err := randomID(env.Rand)
	if err != nil {
		return err
	}
	f.ident, f.err = identity.Found(env.FS, f.dir, identity.File{
		Cluster: cluster, Disk: disk.ID(id), Created: env.Clock(), SegmentBytes: cfg.SegmentBytes,
	}, env.Device)
	if f.err == nil {
		f.err = f.open(ctx, cfg, env, cluster)
	}
	return f.err
}

// promote makes the disks members: from now on the cluster exists.
func promote(env *Env, fs []*folder) (err error) {
	for _, f := range fs {
		if f.ident, err = identity.Promote(env.FS, f.dir, env.Device); err != nil {
			return err
		}
	}
	return nil
}

// randomID draws a number that is not zero.
func randomID(r io.Reader) (uint64, error) {
	for {
		var b [8]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return 0, fmt.Errorf("draw an id: %w", err)
		}
		var n uint64
		for _, x := range b {
			n = n<<8 | uint64(x)
		}
		if n != 0 {
			return n, nil
		}
	}
}
