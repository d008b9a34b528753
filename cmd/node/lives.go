package node

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/identity"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/wire"
)

// A disk that was set back, by restoring an image of it, has forgotten what it promised and acknowledged: it must not speak as
// the disk that it was. So each start of a disk is a life with a random name; a disk keeps its last ones, and each node keeps, in
// each of its folders, the last life that it has seen of every disk. A disk that does not know of a life of its own was set
// back: its node finds out at the start, by its other folders, or else with the first peer that it speaks to, which takes nothing
// of what the disk says. It is never believed again, and the next start makes a new disk of it.

// Files of a folder, in JSON: the lives of its own disk, and the last life seen of every other.
const (
	livesFile = "disk-lives"
	seenFile  = "disks-seen"
)

// livesFormat is the version of both.
const livesFormat = 1

// livesKept is how many lives a disk keeps. If it was started more often since a peer saw it, that one cannot tell.
const livesKept = 64

// Why a disk is left out.
var (
	errSetBack = errors.New("is an earlier state of a disk that went on since")
	errNoLife  = errors.New("the starts of the disk cannot be read or kept")
)

// life is one start of a disk.
type life struct {
	Boot uint64 `json:"boot"`
	Name uint64 `json:"life,string"`
}

// dead is what is kept of a disk that was found to be set back: no life of it follows.
var dead = life{Boot: 1<<64 - 1}

// follows reports whether lives, ascending, may be those of a disk of which another one was seen.
func (seen life) follows(lives []life) bool {
	if seen == dead {
		return false
	}
	if len(lives) == 0 || seen.Boot < lives[0].Boot {
		return true // it cannot be told
	}
	for _, l := range lives {
		if l.Boot == seen.Boot {
			return l.Name == seen.Name
		}
	}
	return false
}

type livesWire struct {
	Format int    `json:"format"`
	Lives  []life `json:"lives"`
}

type seenWire struct {
	Format int             `json:"format"`
	Seen   map[string]life `json:"seen"`
}

// begin gives the folder's disk a new life, durably: before anything of the disk speaks.
func (f *folder) begin(env *Env) error {
	var w livesWire
	if err := readJSON(env.FS, f.dir, livesFile, &w); err != nil {
		return err
	}
	var name [8]byte
	if _, err := io.ReadFull(env.Rand, name[:]); err != nil {
		return err
	}
	f.lives = nil
	for _, l := range w.Lives {
		if l.Boot < f.ident.Boot { // else it came to nothing
			f.lives = append(f.lives, l)
		}
	}
	f.lives = append(f.lives, life{f.ident.Boot, binary.BigEndian.Uint64(name[:])})
	f.lives = f.lives[max(0, len(f.lives)-livesKept):]
	return replaceJSON(env.FS, f.dir, livesFile, livesWire{livesFormat, f.lives})
}

// readJSON reads a small file; one that is not there leaves v as it is.
func readJSON(fs vfs.FS, dir, name string, v any) error {
	b, err := readSmall(fs, fs.PathJoin(dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return fmt.Errorf("read %s in %s: %w", name, dir, err)
	}
	return nil
}

// replaceJSON writes a small file: after a crash the folder holds the old one or the new one.
func replaceJSON(fs vfs.FS, dir, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := writeFile(fs, dir, name+".new", string(b)); err != nil {
		return err
	}
	if err := fs.Rename(fs.PathJoin(dir, name+".new"), fs.PathJoin(dir, name)); err != nil {
		return err
	}
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lastLives is the last life that was seen of each disk. It is safe for concurrent use.
type lastLives struct {
	changed chan struct{} // something is to be kept

	mu   sync.Mutex
	seen map[disk.ID]life
}

// keep has keepLives write.
func (s *lastLives) keep() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// load takes in what is kept in a folder.
func (s *lastLives) load(fs vfs.FS, dir string) error {
	var w seenWire
	if err := readJSON(fs, dir, seenFile, &w); err != nil {
		return err
	}
	for text, l := range w.Seen {
		id, err := disk.ParseID(text)
		if err != nil {
			return fmt.Errorf("read %s in %s: %w", seenFile, dir, err)
		}
		s.note(id, l)
	}
	return nil
}

// note takes a life in and reports whether it came after the one that was known.
func (s *lastLives) note(id disk.ID, l life) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.Boot <= s.seen[id].Boot {
		return false
	}
	if s.seen == nil {
		s.seen = map[disk.ID]life{}
	}
	s.seen[id] = l
	return true
}

func (s *lastLives) of(id disk.ID) life {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[id]
}

// save keeps them in folders, as far as these can be written.
func (s *lastLives) save(in *sync.WaitGroup, fs vfs.FS, folders []*folder) error {
	s.mu.Lock()
	w := seenWire{livesFormat, make(map[string]life, len(s.seen))}
	for id, l := range s.seen {
		w.Seen[id.String()] = l
	}
	s.mu.Unlock()
	var errs []error
	for _, f := range folders {
		if f.disk != nil {
			errs = append(errs, f.aside.run(in, func() error { return replaceJSON(fs, f.dir, seenFile, w) }))
		}
	}
	return errors.Join(errs...)
}

// beginLives begins the lives of this node's disks. It leaves those out that were set back, as its folders know, and those whose
// lives can't be read or kept.
func (n *Node) beginLives(ctx context.Context) {
	for _, f := range n.folders {
		if f.disk == nil {
			continue
		}
		if err := n.lives.load(n.env.FS, f.dir); err != nil { // the other folders and peers know, too
			n.env.Log.WarnContext(ctx, "the lives of disks cannot be read in a folder", "folder", f.dir, "error", err)
		}
	}
	for _, f := range n.folders {
		if f.disk == nil {
			continue
		}
		switch err, seen := f.begin(&n.env), n.lives.of(f.ident.Disk); {
		case err != nil:
			f.leaveOut(ctx, &n.env, &identity.Error{Dir: f.dir, Err: errNoLife, Detail: err.Error()})
		case !seen.follows(f.lives) && !mutantSetBack:
			f.leaveOut(ctx, &n.env, &identity.Error{Dir: f.dir, Err: errSetBack, Detail: fmt.Sprintf("disk %s, start %d; start %d was seen", f.ident.Disk, f.ident.Boot, seen.Boot)})
		}
	}
}

// leaveOut has the node run without a folder's disk.
func (f *folder) leaveOut(ctx context.Context, env *Env, why error) {
	f.err = why
	if err := f.disk.Close(); err != nil {
		env.Log.WarnContext(ctx, "a disk that is left out cannot be closed", "folder", f.dir, "error", err)
	}
	f.disk = nil
	f.tell(env)
}

// noteLives keeps the lives that this node's disks have now.
func (n *Node) noteLives() error {
	for _, f := range n.folders {
		if f.disk == nil {
			continue
		}
		if len(f.lives) == 0 { // it has just become a disk
			if err := f.begin(&n.env); err != nil {
				return err
			}
		}
		n.lives.note(f.ident.Disk, f.lives[len(f.lives)-1])
	}
	n.saveLives(context.Background())
	return nil
}

// saveLives keeps what was seen in the folders, as far as these can be written.
func (n *Node) saveLives(ctx context.Context) {
	if err := n.lives.save(&n.running, n.env.FS, n.folders); err != nil {
		n.env.Log.WarnContext(ctx, "the lives of disks could not be kept", "error", err)
	}
}

// ownLives tells the last lives of this node's disks.
func (n *Node) ownLives() (list []wire.DiskLife) {
	for _, f := range n.folders {
		if f.disk == nil {
			continue
		}
		for _, l := range f.lives {
			list = append(list, wire.DiskLife{Disk: f.ident.Disk, Boot: l.Boot, Life: l.Name})
		}
	}
	return list
}

// judgeLives notes the lives of a peer's disks, and returns what was seen of those that were set back.
func (n *Node) judgeLives(_ clustermap.NodeID, told []wire.DiskLife) (unknown []wire.DiskLife) {
	byDisk := map[disk.ID][]life{}
	for _, x := range told {
		byDisk[x.Disk] = append(byDisk[x.Disk], life{x.Boot, x.Life})
	}
	changed := false
	for id, lives := range byDisk {
		if seen := n.lives.of(id); !seen.follows(lives) && !mutantSetBack {
			unknown = append(unknown, wire.DiskLife{Disk: id, Boot: seen.Boot, Life: seen.Name})
			changed = n.lives.note(id, dead) || changed
			continue
		}
		changed = n.lives.note(id, lives[len(lives)-1]) || changed
	}
	if changed {
		n.lives.keep()
	}
	return unknown
}

// setBack fails disks of this node of which a peer has seen lives that they do not know of.
func (n *Node) setBack(unknown []wire.DiskLife) {
	for _, x := range unknown {
		d := n.disks[x.Disk]
		if d == nil || d.Err() != nil {
			continue
		}
		n.lives.note(x.Disk, dead)
		d.Fence(fmt.Errorf("it %w: a peer has seen start %d of it; start the server again to have the folder made a new disk", errSetBack, x.Boot))
	}
	n.lives.keep()
}

// keepLives writes what was seen into the folders, until ctx ends. No handshake waits for it: what a crash takes along others have
// seen, too.
func (n *Node) keepLives(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.lives.changed:
		}
		n.saveLives(ctx)
	}
}
