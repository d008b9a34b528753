package lab

import (
	"fmt"
	"strconv"
	"testing"
	"time"
)

// Addresses of a network: hosts are prefix.1, prefix.2 and so on; the test itself is the last.
const (
	prefix = "10.77.0."
	mask   = "/24"
	own    = prefix + "254"
	bridge = "lab0"
)

// Network is hosts on one bridge, which the test is on as well. Its methods and those of its hosts are for one goroutine.
type Network struct {
	t     testing.TB
	hosts []*Host
}

// Host is a network namespace with one address.
type Host struct {
	IP string

	t    testing.TB
	name string
}

// NewNetwork makes a network without hosts. It goes at the end of the test; there is one at a time.
func NewNetwork(t testing.TB) *Network {
	t.Helper()
	n := &Network{t: t}
	n.must("ip", "link", "add", bridge, "type", "bridge")
	t.Cleanup(func() { n.must("ip", "link", "del", bridge) })
	n.must("ip", "addr", "add", own+mask, "dev", bridge)
	n.must("ip", "link", "set", bridge, "up")
	return n
}

func (n *Network) must(name string, args ...string) {
	n.t.Helper()
	if err := run(name, args...); err != nil {
		n.t.Fatal(err)
	}
}

// Add joins one more host to the network.
func (n *Network) Add() *Host {
	n.t.Helper()
	i := strconv.Itoa(len(n.hosts) + 1)
	h := &Host{IP: prefix + i, t: n.t, name: "host" + i}
	n.must("ip", "netns", "add", h.name)
	n.t.Cleanup(func() { n.must("ip", "netns", "del", h.name) })
	outer := "port" + i
	n.must("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", h.name)
	n.t.Cleanup(func() { n.must("ip", "link", "del", outer) }) // at once; with the namespace it would go some time later
	n.must("ip", "link", "set", outer, "master", bridge, "up")
	for _, args := range [][]string{
		{"ip", "addr", "add", h.IP + mask, "dev", "eth0"},
		{"ip", "link", "set", "eth0", "up"},
		{"ip", "link", "set", "lo", "up"},
		{"nft", "add table inet lab; add set inet lab deaf { type ipv4_addr; }; " +
			"add chain inet lab in { type filter hook input priority 0; }; add rule inet lab in ip saddr @deaf drop"},
	} {
		h.inside(args...)
	}
	n.hosts = append(n.hosts, h)
	return h
}

// inside runs a program in the host's namespace.
func (h *Host) inside(args ...string) {
	h.t.Helper()
	if err := run("ip", append([]string{"netns", "exec", h.name}, args...)...); err != nil {
		h.t.Fatal(err)
	}
}

// Deafen makes the host drop whatever comes from some others: a cut in one direction, since they still hear it.
func (h *Host) Deafen(to ...*Host) {
	h.t.Helper()
	for _, o := range to {
		h.inside("nft", "add element inet lab deaf { "+o.IP+" }")
	}
}

// Hear makes the host hear all others again.
func (h *Host) Hear() {
	h.t.Helper()
	h.inside("nft", "flush set inet lab deaf")
}

// Wrap returns the command that another one is appended to in order to run it on the host, with a boot-time clock
// (CLOCK_BOOTTIME) that is so much ahead of the machine's. The process that is started becomes that program: its id
// stays the same, and it ends with the test.
func (h *Host) Wrap(bootAhead time.Duration) []string {
	return []string{
		"ip", "netns", "exec", h.name,
		"unshare", "--time", "--boottime", fmt.Sprint(int64(bootAhead.Seconds())), "--",
		"nsenter", "--no-fork", "--time=/proc/self/ns/time_for_children", "--",
	}
}
