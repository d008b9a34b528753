package trust

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"

	"github.com/contender/contender/disk"
)

// NodeID names a node for its whole life: random, never zero. It is the number that the cluster map knows the node by.
type NodeID uint64

// String returns the id as 16 hexadecimal digits.
func (n NodeID) String() string { return fmt.Sprintf("%016x", uint64(n)) }

const scheme = "contender"

// nodeName is the name in a node's certificate: contender://CLUSTER/node/NODE.
func nodeName(c disk.ClusterID, n NodeID) *url.URL {
	return &url.URL{Scheme: scheme, Host: c.String(), Path: "/node/" + n.String()}
}

// authorityName is the name in the certificate of an authority: contender://CLUSTER/authority.
func authorityName(c disk.ClusterID) *url.URL {
	return &url.URL{Scheme: scheme, Host: c.String(), Path: "/authority"}
}

// onlyName returns the one URI of a certificate and the cluster in it.
func onlyName(c *x509.Certificate) (*url.URL, disk.ClusterID, error) {
	if len(c.URIs) != 1 {
		return nil, disk.ClusterID{}, fmt.Errorf("the certificate has %d names, want 1", len(c.URIs))
	}
	id, err := disk.ParseClusterID(c.URIs[0].Host)
	if err != nil || id == (disk.ClusterID{}) {
		return nil, id, fmt.Errorf("the certificate names no cluster: %q", c.URIs[0])
	}
	return c.URIs[0], id, nil
}

// parseNode returns the cluster and the node that a node's certificate names, and nothing else passes.
func parseNode(c *x509.Certificate) (disk.ClusterID, NodeID, error) {
	u, cluster, err := onlyName(c)
	if err != nil {
		return cluster, 0, err
	}
	id, err := disk.ParseID(strings.TrimPrefix(u.Path, "/node/"))
	node := NodeID(id)
	if err != nil || node == 0 || u.String() != nodeName(cluster, node).String() {
		return cluster, 0, fmt.Errorf("the certificate names no node: %q", u)
	}
	return cluster, node, nil
}

// parseAuthority returns the cluster whose authority the certificate belongs to.
func parseAuthority(c *x509.Certificate) (disk.ClusterID, error) {
	u, cluster, err := onlyName(c)
	if err != nil {
		return cluster, err
	}
	if u.String() != authorityName(cluster).String() || !c.IsCA || c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) != nil {
		return cluster, fmt.Errorf("not the certificate of an authority: %q", u)
	}
	return cluster, nil
}
