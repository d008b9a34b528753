package node

import (
	"bytes"
	"encoding/json"
	"sync"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/local"
	"github.com/contender/contender/gateway/admin"
	"github.com/contender/contender/metashards/clustermap"
)

// Roles of replicas, as package replica names them.
const (
	roleLeader    = "leader"
	roleFollower  = "follower"
	roleCandidate = "candidate"
	roleRemoved   = "removed"
)

// nodeHealth is what a node tells its peers with every ping, in JSON.
type nodeHealth struct {
	Disks []diskHealth `json:"disks"`
	// FrontEnd is there alone: who tells it has no disks.
	FrontEnd *frontEnd `json:"front_end,omitempty"`
}

// diskHealth says how a disk is. A disk that is in the map and not told of takes no part.
type diskHealth struct {
	ID            disk.ID `json:"id"`
	Failed        bool    `json:"failed,omitempty"`
	Slow          bool    `json:"slow,omitempty"`
	UsedBytes     int64   `json:"used"`
	LiveBytes     int64   `json:"live"`
	CapacityBytes int64   `json:"capacity"`
	// Differing is of how many ranges that are led on the disk replicas were found to differ, and how many replicas of the disk
	// know that they do; Remade is how many of them were made anew since its node started, and RemadeAt when the last was, in seconds
	// since 1970.
	Differing int    `json:"differing,omitempty"`
	Remade    uint64 `json:"remade,omitempty"`
	RemadeAt  int64  `json:"remade_at,omitempty"`
	// ClockOff: the disk's store leads nothing, since its wall clock is far off; ClockAhead is by how many seconds.
	ClockOff   bool    `json:"clock_off,omitempty"`
	ClockAhead float64 `json:"clock_ahead,omitempty"`
}

// health tells how this node's disks are.
func (n *Node) health() []byte {
	h := nodeHealth{FrontEnd: n.frontEnd}
	for id, d := range n.disks {
		h.Disks = append(h.Disks, n.ownHealth(id, d))
	}
	b, err := json.Marshal(h)
	if err != nil { // cannot be with the types above
		n.env.Log.Error("the health of the disks cannot be encoded", "error", err)
	}
	return b
}

// ownHealth tells how a disk of this node is.
func (n *Node) ownHealth(id disk.ID, d *local.Disk) diskHealth {
	u := d.Room()
	h := diskHealth{ID: id, Failed: d.Err() != nil, Slow: n.slow.own(id, d.Stuck(), n.env.Clock()), UsedBytes: u.UsedBytes, LiveBytes: u.LiveBytes, CapacityBytes: u.CapacityBytes}
	if s := n.stores[id]; s != nil {
		st := s.Status()
		h.Differing, h.Remade, h.ClockOff, h.ClockAhead = st.Differing, st.Remade, st.ClockOff, st.ClockAhead.Seconds()
		if st.Remade > 0 {
			h.RemadeAt = st.RemadeAt.Unix()
		}
	}
	return h
}

// remoteHealth keeps what other nodes told last, decoded. It is safe for concurrent use.
type remoteHealth struct {
	mu    sync.Mutex
	nodes map[clustermap.NodeID]heard
}

type heard struct {
	raw   []byte
	disks map[disk.ID]diskHealth
}

// of returns what a node told of a disk: whether it told of any, and of this one.
func (r *remoteHealth) of(node clustermap.NodeID, raw []byte, id disk.ID) (h diskHealth, told, listed bool) {
	if len(raw) == 0 {
		return h, false, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.nodes[node]
	if !ok || !bytes.Equal(k.raw, raw) {
		var all nodeHealth
		if err := json.Unmarshal(raw, &all); err != nil {
			return h, false, false
		}
		k = heard{raw, make(map[disk.ID]diskHealth, len(all.Disks))}
		for _, d := range all.Disks {
			k.disks[d.ID] = d
		}
		if r.nodes == nil {
			r.nodes = map[clustermap.NodeID]heard{}
		}
		r.nodes[node] = k
	}
	h, listed = k.disks[id]
	return h, true, listed
}

// diskOf returns how a disk is, its own or another node's, and the word for its state. One that is slow as too many others are is up.
func (n *Node) diskOf(id disk.ID) (h diskHealth, state string) {
	if h, state = n.toldOf(id); state == stateSlow && n.tooMany() {
		state = admin.StateUp
	}
	return h, state
}

// toldOf is diskOf, whatever the others are.
func (n *Node) toldOf(id disk.ID) (h diskHealth, state string) {
	if d := n.disks[id]; d != nil {
		h = n.ownHealth(id, d)
		return h, h.word()
	}
	node, ok := n.directory.NodeOf(id)
	switch {
	case !ok || node == n.self():
		return h, stateMissing
	case !n.peers.Reachable(node):
		return h, stateUnreachable
	}
	h, told, listed := n.remote.health.of(node, n.peers.Health(node), id)
	switch {
	case told && !listed:
		return h, stateMissing
	}
	return h, h.word()
}

// word returns the word for the state of a disk whose node answers.
func (h *diskHealth) word() string {
	switch {
	case h.Failed:
		return stateFailed
	case h.Slow:
		return stateSlow
	}
	return admin.StateUp
}

// alive reports whether a disk is believed to serve.
func (n *Node) alive(id disk.ID) bool {
	_, state := n.diskOf(id)
	return state == admin.StateUp
}

// mayLead reports whether a disk is believed to serve and to have a clock by which it may lead, on a node that nobody works on.
func (n *Node) mayLead(id disk.ID) bool {
	h, state := n.diskOf(id)
	if state != admin.StateUp || h.ClockOff {
		return false
	}
	node, ok := n.directory.NodeOf(id)
	return !ok || !n.isWorkedOn(n.topology.Map().Node(node))
}

// writable reports whether a disk takes new shards.
func (n *Node) writable(id disk.ID) bool {
	h, state := n.diskOf(id)
	return state == admin.StateUp && (h.CapacityBytes == 0 || h.LiveBytes < h.CapacityBytes/100*fullPercent)
}
