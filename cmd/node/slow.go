package node

import (
	"errors"
	"sync"
	"time"

	"github.com/contender/contender/disk"
)

// A disk whose writes hang, or take very long, is shown slow, and counts as away: no new bytes go to it, none are read from it
// where there is a choice, and it leads nothing, until it has been quick for a while. But where many disks are slow at once it is
// the load, or something that they share: then none is left out.

// Measures of slow disks.
const (
	slowAfter = 5 * time.Second  // of one write and sync
	slowPause = 10 * time.Second // until it counts again, once it is quick
	slowShare = 3                // one in so many disks may be left out
	slowLook  = 500 * time.Millisecond
)

// slowDisks knows which disks are slow. It is safe for concurrent use.
type slowDisks struct {
	mu     sync.Mutex
	until  map[disk.ID]time.Time // of this node's: slow until then
	looked time.Time
	many   bool
}

// own reports whether a disk of this node is slow, given for how long its write has been under way.
func (s *slowDisks) own(id disk.ID, stuck time.Duration, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stuck >= slowAfter {
		if s.until == nil {
			s.until = map[disk.ID]time.Time{}
		}
		s.until[id] = now.Add(slowPause)
	}
	return now.Before(s.until[id]) && !mutantHungCounts
}

// tooMany reports whether too many disks of the map are slow for any of them to be left out.
func (n *Node) tooMany() bool {
	now := n.env.Clock()
	n.slow.mu.Lock()
	fresh, many := now.Sub(n.slow.looked) < slowLook, n.slow.many
	n.slow.mu.Unlock()
	if fresh {
		return many
	}
	slow, disks := 0, n.topology.Map().Standing().Disks
	for _, d := range disks {
		if _, state := n.toldOf(d.ID); state == stateSlow {
			slow++
		}
	}
	many = slow*slowShare > len(disks)
	n.slow.mu.Lock()
	defer n.slow.mu.Unlock()
	n.slow.looked, n.slow.many = now, many
	return many
}

// errFolderBusy says that a small file cannot be written into a folder, since an earlier write hangs there.
var errFolderBusy = errors.New("an earlier write hangs")

// folderPatience is how long anybody waits for a small file to be written into a folder.
const folderPatience = 5 * time.Second

// aside does one thing at a time with a folder, and nobody waits for it for long: a folder may hang. Then it is left behind, one
// goroutine for each folder at most, until it goes on.
type aside struct {
	once sync.Once
	turn chan struct{} // holds something while somebody is in
}

// run does something, when its turn comes, and returns what came of it, or errFolderBusy.
func (a *aside) run(in *sync.WaitGroup, do func() error) error {
	a.once.Do(func() { a.turn = make(chan struct{}, 1) })
	t := time.NewTimer(folderPatience)
	defer t.Stop()
	select {
	case a.turn <- struct{}{}:
	case <-t.C:
		return errFolderBusy
	}
	done := make(chan error, 1)
	in.Go(func() {
		err := do()
		<-a.turn
		done <- err
	})
	select {
	case err := <-done:
		return err
	case <-t.C:
		return errFolderBusy
	}
}
