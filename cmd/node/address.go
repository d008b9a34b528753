package node

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"

	"github.com/contender/contender/metashards/clustermap"
)

// advertise returns the host that other nodes reach this one by; of a front-end, clients.
func (n *Node) advertise() string {
	listen := n.cfg.Peer
	if n.cfg.FrontEnd {
		listen = n.cfg.Listen
	}
	return advertiseHost(n.cfg.Advertise, listen, n.cfg.Join, n.env.Route, net.InterfaceAddrs)
}

// advertiseHost returns the host that other nodes reach a node by: what the operator said; else the host of the peer
// address; for a wildcard the source address of the route to a join address, else the first global unicast address of
// the machine, else loopback.
func advertiseHost(said, peer string, join []string, route func(string) (string, error), interfaces func() ([]net.Addr, error)) string {
	if said != "" {
		return said
	}
	host, _, err := net.SplitHostPort(peer)
	if err == nil && host != "" {
		if ip, err := netip.ParseAddr(host); err != nil || !ip.IsUnspecified() {
			return host
		}
	}
	for _, to := range join {
		if route == nil {
			break
		}
		if from, err := route(to); err == nil {
			return from
		}
	}
	addrs, err := interfaces()
	if err == nil {
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
				return n.IP.String()
			}
		}
	}
	return "127.0.0.1"
}

// withPort replaces port 0 of an address by the one that was picked earlier, if any.
func withPort(address string, earlier int) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port != "0" || earlier == 0 {
		return address
	}
	return net.JoinHostPort(host, strconv.Itoa(earlier))
}

// portOf returns the port of a listener's address.
func portOf(a net.Addr) int {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.Port
	}
	_, p, err := net.SplitHostPort(a.String())
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(p)
	if err != nil {
		return 0
	}
	return n
}

// urlHost returns the host that a person on this machine types to reach a listener.
func urlHost(listen string) string {
	host, _, err := net.SplitHostPort(listen)
	if err != nil || host == "" {
		return "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		return "127.0.0.1"
	}
	return host
}

// ports are the ports that were picked for port 0; they are kept over restarts.
type ports struct{ S3, Console, Peer int }

// listen opens the listeners.
func (n *Node) listen(earlier ports) (err error) {
	if err := n.listenS3(earlier.S3); err != nil {
		return err
	}
	if n.console, err = n.env.Listen("tcp", withPort(n.cfg.Console, earlier.Console)); err != nil {
		return fmt.Errorf("listen for the console: %w", err)
	}
	if n.peer, err = n.env.Listen("tcp", withPort(n.cfg.Peer, earlier.Peer)); err != nil {
		return fmt.Errorf("listen for other nodes: %w", err)
	}
	return n.savePorts(n.ports())
}

func (n *Node) listenS3(earlier int) (err error) {
	if n.s3, err = n.env.Listen("tcp", withPort(n.cfg.Listen, earlier)); err != nil {
		return fmt.Errorf("listen for S3: %w", err)
	}
	return nil
}

// ports returns the ports that are listened on.
func (n *Node) ports() ports {
	return ports{portOf(n.s3.Addr()), portOf(n.console.Addr()), portOf(n.peer.Addr())}
}

// portsFile keeps the ports in the first folder that takes part.
const portsFile = "ports"

// loadPorts reads the ports of an earlier run; zero where there were none.
func (n *Node) loadPorts() (p ports) {
	for _, dir := range n.legible() {
		f, err := n.env.FS.Open(n.env.FS.PathJoin(dir, portsFile))
		if err != nil {
			continue
		}
		_, err = fmt.Fscanf(io.LimitReader(f, 64), "%d %d %d", &p.S3, &p.Console, &p.Peer)
		if err = errors.Join(err, f.Close()); err == nil {
			return p
		}
	}
	return ports{}
}

func (n *Node) savePorts(p ports) error {
	if p == n.loadPorts() {
		return nil
	}
	for _, dir := range n.dirs() {
		if err := writeFile(n.env.FS, dir, portsFile, fmt.Sprintf("%d %d %d\n", p.S3, p.Console, p.Peer)); err != nil {
			return err
		}
	}
	return nil
}

// s3Address is where clients on other machines find this node.
func (n *Node) s3Address() string {
	return net.JoinHostPort(n.advertise(), strconv.Itoa(portOf(n.s3.Addr())))
}

// setAddresses fills in how others reach this node.
func (n *Node) setAddresses(c *clustermap.Node) {
	host := n.advertise()
	c.S3 = n.s3Address()
	c.Peer = net.JoinHostPort(host, strconv.Itoa(portOf(n.peer.Addr())))
}
