package wire_test

import (
	"sync/atomic"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/transport"
	"github.com/contender/contender/metashards/wire"
)

// TestDiskSetBackIsNotHeard: lives that a node tells of its disks are judged, but for those of disks of others; of a disk that was
// set back its node is told, and nothing that it says arrives, while the node's other disk is heard.
func TestDiskSetBackIsNotHeard(t *testing.T) {
	n := newNetwork(t, false)
	seen := wire.DiskLife{Disk: 20, Boot: 5, Life: 9}
	judged, told := make(chan []wire.DiskLife, 10), make(chan []wire.DiskLife, 10)
	n.tune = func(o *wire.Options) {
		switch o.Node {
		case 1:
			o.Judge = func(peer clustermap.NodeID, lives []wire.DiskLife) []wire.DiskLife {
				if peer != 2 {
					t.Errorf("node %v is judged", peer)
				}
				judged <- lives
				return []wire.DiskLife{seen}
			}
		case 2:
			o.Lives = func() []wire.DiskLife {
				return []wire.DiskLife{{Disk: 20, Boot: 4, Life: 8}, {Disk: 21, Boot: 1, Life: 1}, {Disk: 30, Boot: 99, Life: 1}}
			}
			o.SetBack = func(unknown []wire.DiskLife) { told <- unknown }
		}
	}
	defer n.close()
	host, peer := n.start(1), n.start(2)
	f := newFake()
	var heard, wrong atomic.Int64
	f.receive = func(m *transport.Message) {
		if m.From == disk.ID(21) {
			heard.Add(1)
		} else {
			wrong.Add(1)
		}
	}
	host.add(10, f)
	for _, from := range []disk.ID{20, 20, 21} {
		peer.peers.Send(&transport.Message{Range: 7, From: from, To: 10, Raft: &raftpb.Message{}})
	}
	eventually(t, "the other disk is heard", func() bool { return heard.Load() == 1 })
	if got := <-judged; len(got) != 2 || got[0] != (wire.DiskLife{Disk: 20, Boot: 4, Life: 8}) || got[1].Disk != 21 {
		t.Errorf("judged are %+v", got)
	}
	if got := <-told; len(got) != 1 || got[0] != seen {
		t.Errorf("the node is told %+v", got)
	}
	if c := host.peers.Counters(); wrong.Load() != 0 || c.RaftDroppedSetBack != 2 {
		t.Errorf("%d messages of the disk arrived; %+v", wrong.Load(), c)
	}
}
