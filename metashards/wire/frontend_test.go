package wire_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/contender/contender/metashards/wire"
)

// TestStrangerToTheDirectory: a node that the directory does not list, a front-end, hears how the node is that it dials though
// that one never dials it, tells of itself, and is forgotten when it goes. A node that is listed is remembered.
func TestStrangerToTheDirectory(t *testing.T) {
	n := newNetwork(t, false)
	n.tune = func(o *wire.Options) {
		o.PingEvery = 5 * time.Millisecond
		health := fmt.Appendf(nil, "of %d", uint64(o.Node))
		o.Health = func() []byte { return health }
	}
	defer n.close()
	host, listed, front := n.start(1), n.start(2), n.start(12)
	front.peers.Meet(1)
	listed.peers.Meet(1)
	for what, told := range map[string]func() string{
		"of 1":  func() string { return string(front.peers.Health(1)) },
		"of 2":  func() string { return string(host.peers.Health(2)) },
		"of 12": func() string { return string(host.peers.Health(12)) },
	} {
		eventually(t, what, func() bool { return told() == what })
	}
	if s := host.peers.Status(); len(s) != 2 || !s[1].Served || s[1].Node != 12 {
		t.Errorf("%+v", s)
	}
	front.breakAll() // it dials again, under the same id
	eventually(t, "served again", func() bool {
		s := host.peers.Status()
		return host.peers.Counters().Sessions == 3 && len(s) == 2 && s[1].Served
	})
	n.stopNode(front)
	n.stopNode(listed)
	eventually(t, "the front-end is forgotten, the node is not", func() bool {
		s := host.peers.Status()
		return len(s) == 1 && s[0].Node == 2 && !s[0].Served
	})
}
