package identity

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk"
)

// The files of this package in a folder. Their presence alone does not make the folder other than empty, but for the
// first.
const (
	// Name is that of the identity file.
	Name     = "identity"
	tempName = "identity.tmp"
	lockName = "lock"
)

// Device returns the number of the device (st_dev) that a folder lies on. Paths may end in "/..".
type Device func(dir string) (uint64, error)

// Load reads the identity of a folder and checks that the folder is mounted if it was at founding. A nil device leaves
// that check out.
func Load(fs vfs.FS, dir string, device Device) (File, error) {
	b, err := read(fs, fs.PathJoin(dir, Name))
	if errors.Is(err, os.ErrNotExist) {
		return File{}, fail(dir, ErrNoIdentity, "")
	}
	if err != nil {
		return File{}, fail(dir, err, "")
	}
	f, err := Decode(b)
	if err != nil {
		return File{}, fail(dir, err, "")
	}
	now, err := look(dir, device)
	if err != nil {
		return File{}, fail(dir, err, "")
	}
	if f.Mount.Own() && now.Known && !now.Own() {
		return File{}, fail(dir, ErrUnmounted, fmt.Sprintf("it lies on device %d as its parent does", now.Device))
	}
	return f, nil
}

// Mounted tells how a folder that is there lies in the file system.
func Mounted(dir string, device Device) (Mount, error) {
	m, err := look(dir, device)
	if err != nil {
		err = fail(dir, err, "")
	}
	return m, err
}

// Found makes a folder a new disk of a cluster: state Founding, boot count 0. f brings cluster, disk, creation time and
// segment size. The folder is made if it is absent; it must be Empty, or a folder whose founding was never completed,
// else ErrNotEmpty. When Found returns nil the identity, and the folder itself, survive a crash.
func Found(fs vfs.FS, dir string, f File, device Device) (File, error) {
	empty, err := Empty(fs, dir)
	if err != nil {
		return File{}, err
	}
	if !empty {
		if old, err := Load(fs, dir, nil); err != nil || old.State != Founding {
			return File{}, fail(dir, ErrNotEmpty, "")
		}
	}
	if err := Make(fs, dir); err != nil {
		return File{}, err
	}
	if f.Mount, err = look(dir, device); err != nil {
		return File{}, fail(dir, err, "")
	}
	f.Format, f.Boot, f.State = Format, 0, Founding
	f.Created = f.Created.UTC().Truncate(time.Second)
	return f, write(fs, dir, f)
}

// Boot raises the boot count and returns the identity with the new one. Cluster must be the folder's, or zero for any,
// else ErrForeignCluster. It is called once each time that a disk is opened, before anything else of it is touched, with
// the lock held: when it returns nil the new count survives a crash.
func Boot(fs vfs.FS, dir string, cluster disk.ClusterID, device Device) (File, error) {
	f, err := Load(fs, dir, device)
	if err != nil {
		return File{}, err
	}
	if cluster != (disk.ClusterID{}) && f.Cluster != cluster {
		return File{}, fail(dir, ErrForeignCluster, fmt.Sprintf("%s, not %s", f.Cluster, cluster))
	}
	f.Boot++
	return f, write(fs, dir, f)
}

// Promote records, durably, that the cluster knows the disk. Promoting a member does nothing.
func Promote(fs vfs.FS, dir string, device Device) (File, error) {
	f, err := Load(fs, dir, device)
	if err != nil || f.State == Member {
		return f, err
	}
	f.State = Member
	return f, write(fs, dir, f)
}

// before are the files that a node may leave in a folder before there is a disk in it: what it asks with to be admitted
// to a cluster.
var before = [...]string{"node-applicant", "node-applicant.tmp"}

// Belongs reports whether something of a name in a folder is a disk's: all but what an empty folder may hold.
func Belongs(n string) bool {
	return n != "lost+found" && n != lockName && n != tempName && !slices.Contains(before[:], n)
}

// Empty reports whether a folder is absent, or holds nothing but lost+found, a lock, what a node that has no disk yet
// leaves, and what a crash left of the first writing of an identity.
func Empty(fs vfs.FS, dir string) (bool, error) {
	names, err := fs.List(dir)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fail(dir, err, "")
	}
	for _, n := range names {
		if Belongs(n) {
			return false, nil
		}
	}
	return true, nil
}

// Lock takes a folder for this process, until the closer is closed or the process ends. ErrLocked if somebody has it,
// ErrNoIdentity if there is no such folder. It takes no notice of whether the folder was founded.
func Lock(fs vfs.FS, dir string) (io.Closer, error) {
	if _, err := fs.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil, fail(dir, ErrNoIdentity, "the folder is absent")
	}
	c, err := fs.Lock(fs.PathJoin(dir, lockName))
	var p *os.PathError
	switch {
	case err == nil:
		return c, nil
	case errors.As(err, &p) && p.Op == "open":
		return nil, fail(dir, err, "") // the file could not be made
	}
	return nil, fail(dir, ErrLocked, err.Error())
}

// Make makes a folder with its parents, durably. It may be there already.
func Make(fs vfs.FS, dir string) error {
	var parents []string // of folders that are missing
	for at := dir; ; at = fs.PathDir(at) {
		parent := fs.PathDir(at)
		_, err := fs.Stat(at)
		if err == nil || parent == at {
			break
		}
		if !errors.Is(err, os.ErrNotExist) {
			return fail(dir, err, "")
		}
		parents = append(parents, parent)
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return fail(dir, err, "")
	}
	for _, p := range parents {
		if err := syncDir(fs, p); err != nil {
			return fail(dir, err, "")
		}
	}
	return nil
}

// look asks how a folder is mounted. The parent is asked for by "/..": the name may be a link to somewhere else.
func look(dir string, device Device) (m Mount, err error) {
	if device == nil {
		return m, nil
	}
	if m.Device, err = device(dir); err != nil {
		return m, err
	}
	if m.Parent, err = device(dir + "/.."); err != nil {
		return m, err
	}
	m.Known = true
	return m, nil
}

func read(fs vfs.FS, path string) (b []byte, err error) {
	h, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	return io.ReadAll(io.LimitReader(h, maxBytes))
}

// write replaces the identity file by a new one, durably.
func write(fs vfs.FS, dir string, f File) error {
	b, err := f.Encode()
	if err != nil {
		return fail(dir, err, "")
	}
	temp := fs.PathJoin(dir, tempName)
	h, err := fs.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fail(dir, err, "")
	}
	_, err = h.Write(b)
	if err == nil {
		err = h.Sync()
	}
	if err = errors.Join(err, h.Close()); err == nil {
		err = fs.Rename(temp, fs.PathJoin(dir, Name))
	}
	if err == nil {
		err = syncDir(fs, dir)
	}
	if err != nil {
		return fail(dir, err, "")
	}
	return nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
