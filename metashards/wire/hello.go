package wire

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/metapb"
)

// Versions of the protocol that this program speaks.
const (
	versionLeast = 1
	versionMost  = 1
)

// ErrRefused says that a peer does not want to speak to this node: another cluster, another node than the one meant, or
// no version in common. It is in the chain of such errors.
var ErrRefused = errors.New("refused at the handshake")

func (p *Peers) hello(to clustermap.NodeID) *metapb.Hello {
	return &metapb.Hello{
		VersionLeast: versionLeast, VersionMost: versionMost, Cluster: p.opt.Cluster[:], Node: uint64(p.opt.Node),
		To: uint64(to), Instance: p.opt.Instance, MapRevision: p.revision(), Lives: p.lives(),
	}
}

func (p *Peers) lives() []*metapb.DiskLife {
	if p.opt.Lives == nil {
		return nil
	}
	return encodeLives(p.opt.Lives())
}

func encodeLives(list []DiskLife) (out []*metapb.DiskLife) {
	for _, x := range list {
		out = append(out, &metapb.DiskLife{Disk: uint64(x.Disk), Boot: x.Boot, Life: x.Life})
	}
	return out
}

func decodeLives(list []*metapb.DiskLife) (out []DiskLife) {
	for _, x := range list {
		out = append(out, DiskLife{disk.ID(x.Disk), x.Boot, x.Life})
	}
	return out
}

// judgeLives returns lives that were seen of a peer's disks that were set back, of those that the directory gives it.
func (p *Peers) judgeLives(node clustermap.NodeID, told []*metapb.DiskLife) []DiskLife {
	if p.opt.Judge == nil {
		return nil
	}
	return p.opt.Judge(node, slices.DeleteFunc(decodeLives(told), func(x DiskLife) bool {
		owner, ok := p.opt.Directory.NodeOf(x.Disk)
		return ok && owner != node
	}))
}

// judgeHello says what is wrong with a peer's Hello, and the version to speak.
func (p *Peers) judgeHello(h *metapb.Hello, node clustermap.NodeID) (version uint32, err error) {
	version = min(h.VersionMost, versionMost)
	switch {
	case h.Refusal != "":
		err = fmt.Errorf("%w: %s", ErrRefused, clip(h.Refusal))
	case !bytes.Equal(h.Cluster, p.opt.Cluster[:]):
		err = fmt.Errorf("%w: the peer is of another cluster", ErrRefused)
	case clustermap.NodeID(h.Node) != node:
		err = fmt.Errorf("%w: the peer says that it is node %s and is node %s", ErrRefused, clustermap.NodeID(h.Node), node)
	case clustermap.NodeID(h.To) != p.opt.Node:
		err = fmt.Errorf("%w: the peer means node %s and speaks to node %s", ErrRefused, clustermap.NodeID(h.To), p.opt.Node)
	case version < max(h.VersionLeast, versionLeast):
		err = fmt.Errorf("%w: the peer speaks versions %d to %d, this node %d to %d", ErrRefused, h.VersionLeast, h.VersionMost, versionLeast, versionMost)
	}
	return version, err
}

func writeHello(conn net.Conn, h *metapb.Hello) error {
	b, err := appendFrame(nil, header{kind: kindHello}, h, 0)
	if err != nil {
		return err
	}
	_, err = conn.Write(b)
	return err
}

func readHello(r *reader) (*metapb.Hello, error) {
	f, err := r.next()
	if err != nil {
		return nil, noEOF(err)
	}
	if f.kind != kindHello {
		return nil, &ProtocolError{Reason: fmt.Sprintf("frame of kind %d in the place of a Hello", f.kind)}
	}
	h := new(metapb.Hello)
	if err := h.UnmarshalVT(f.body); err != nil {
		return nil, &ProtocolError{Reason: "Hello: " + err.Error()}
	}
	return h, nil
}

// greet is the handshake of the dialer. It leaves a deadline on the connection.
func (p *Peers) greet(conn net.Conn, r *reader, node clustermap.NodeID) (*metapb.Hello, error) {
	if err := conn.SetDeadline(p.opt.Clock.Now().Add(p.opt.HandshakeTimeout)); err != nil {
		return nil, err
	}
	if err := writeHello(conn, p.hello(node)); err != nil {
		return nil, err
	}
	h, err := readHello(r)
	if err != nil {
		return nil, err
	}
	if _, err := p.judgeHello(h, node); err != nil {
		return nil, err
	}
	if len(h.Unknown) > 0 && p.opt.SetBack != nil {
		p.opt.SetBack(decodeLives(h.Unknown))
	}
	return h, nil
}

// welcome is the handshake of the side that was dialed. Whoever is refused is told why; accepted is called before anybody
// else is answered, and returns what was seen of disks of the peer that were set back. It leaves a deadline on the connection.
func (p *Peers) welcome(conn net.Conn, r *reader, node clustermap.NodeID, accepted func(*metapb.Hello) []DiskLife) (*metapb.Hello, error) {
	if err := conn.SetDeadline(p.opt.Clock.Now().Add(p.opt.HandshakeTimeout)); err != nil {
		return nil, err
	}
	h, err := readHello(r)
	if err != nil {
		return nil, err
	}
	answer := p.hello(node)
	version, refused := p.judgeHello(h, node)
	answer.VersionLeast, answer.VersionMost = version, version
	if refused != nil {
		// Nothing of this node's is for a stranger.
		answer = &metapb.Hello{VersionLeast: versionLeast, VersionMost: versionMost, Refusal: refused.Error()}
	} else {
		answer.Unknown = encodeLives(accepted(h))
	}
	if err := writeHello(conn, answer); err != nil {
		return nil, errors.Join(refused, err)
	}
	if refused != nil {
		return nil, refused
	}
	return h, nil
}
