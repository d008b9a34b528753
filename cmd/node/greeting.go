package node

import (
	"net"
	"strconv"
)

// Greeting is what a person wants to know of a server that has started.
type Greeting struct {
	Cluster, Region         string
	S3URL, ConsoleURL, Peer string // a front-end has the first alone
	FromEnvironment         bool   // the root keys were given
	AccessKey, SecretKey    string
	CredentialsFile         string
}

// Greeting returns the greeting of this node.
func (n *Node) Greeting() Greeting {
	m := n.topology.Map()
	g := Greeting{
		Cluster: m.Cluster, Region: m.Region, FromEnvironment: n.cfg.AccessKey != "",
		S3URL: "http://" + net.JoinHostPort(urlHost(n.cfg.Listen), strconv.Itoa(portOf(n.s3.Addr()))),
	}
	if n.cfg.FrontEnd {
		return g
	}
	g.ConsoleURL = "http://" + net.JoinHostPort(urlHost(n.cfg.Console), strconv.Itoa(portOf(n.console.Addr())))
	g.Peer = net.JoinHostPort(n.advertise(), strconv.Itoa(portOf(n.peer.Addr())))
	if !g.FromEnvironment {
		k, file, _ := n.readCredentials()
		g.AccessKey, g.SecretKey, g.CredentialsFile = k.AccessKey, k.SecretKey, file
	}
	return g
}
