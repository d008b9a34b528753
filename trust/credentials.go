package trust

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/contender/contender/disk"
)

// The protocols of a peer port, told apart in the TLS handshake (ALPN). A connection speaks one of them to its end.
const (
	// ProtocolControl is the framed stream of Raft, the map and metadata calls.
	ProtocolControl = "contender-control/1"
	// ProtocolBytes is HTTP/1.1 for shard bytes. It has the registered name, since net/http's server hangs up on
	// protocols that it does not know.
	ProtocolBytes = "http/1.1"
	// ProtocolJoin is the one that a client without a certificate may speak; see ServeJoin.
	ProtocolJoin = "contender-join/1"
)

// CredentialsOptions are what Credentials need besides the identity.
type CredentialsOptions struct {
	Clock func() time.Time // by which certificates are valid or not
	// Allow is asked about each peer whose certificate is right, in the handshake, on both sides: an error ends it. It
	// is how a node that was removed from the map is shut out. It must not block. Nil allows all.
	Allow func(NodeID) error
}

// Credentials are what a running node shows and demands in its handshakes. They follow the identity: after Replace new
// connections use the new one, under configurations that were handed out before. Safe for concurrent use.
type Credentials struct {
	clock func() time.Time
	allow func(NodeID) error
	now   atomic.Pointer[holding]
}

// holding is an identity made ready.
type holding struct {
	Identity
	roots  *x509.CertPool
	shown  *tls.Certificate
	mutual *tls.Config // for control and bytes
	join   *tls.Config
}

// NewCredentials makes an identity ready for use. KindInvalid if it does not fit together.
func NewCredentials(id Identity, o CredentialsOptions) (*Credentials, error) {
	if o.Clock == nil {
		return nil, fail("use node identity", KindInvalid, "no clock")
	}
	c := &Credentials{clock: o.Clock, allow: o.Allow}
	if err := c.hold(id); err != nil {
		return nil, err
	}
	return c, nil
}

// Replace takes a renewed identity of the same node into use, for all handshakes that begin after it.
func (c *Credentials) Replace(id Identity) error {
	if old := c.Identity(); id.Cluster != old.Cluster || id.Node != old.Node {
		return fail("replace node identity", KindInvalid, "%s in place of %s", id, old)
	}
	return c.hold(id)
}

// Identity returns the identity in use.
func (c *Credentials) Identity() Identity { return c.now.Load().Identity }

func (c *Credentials) hold(id Identity) error {
	if err := id.check(); err != nil {
		return fail("use node identity", KindInvalid, "%w", err)
	}
	id.Authorities = slices.Clone(id.Authorities)
	h := &holding{Identity: id, roots: pool(id.Authorities), shown: &tls.Certificate{
		Certificate: [][]byte{id.Certificate.Raw}, PrivateKey: id.Key, Leaf: id.Certificate,
	}}
	h.mutual = c.base(ProtocolControl, ProtocolBytes)
	h.mutual.Certificates = []tls.Certificate{*h.shown}
	// The certificate is demanded here and verified by VerifyConnection, which also runs if a session were resumed.
	h.mutual.ClientAuth = tls.RequireAnyClientCert
	h.mutual.ClientCAs = h.roots
	h.mutual.VerifyConnection = func(s tls.ConnectionState) error {
		if s.NegotiatedProtocol == "" {
			return fail("handshake", KindProtocol, "no protocol was agreed on")
		}
		_, err := c.verify(s, x509.ExtKeyUsageClientAuth)
		return err
	}
	h.join = c.base(ProtocolJoin)
	h.join.ClientAuth = tls.NoClientCert
	// A joiner with a token looks for the authority among what is shown.
	h.join.Certificates = []tls.Certificate{{
		Certificate: [][]byte{id.Certificate.Raw, issuer(id.Certificate, id.Authorities).Raw},
		PrivateKey:  id.Key, Leaf: id.Certificate,
	}}
	c.now.Store(h)
	return nil
}

// base is what all configurations share. Sessions are never resumed: connections live long, a handshake is cheap, and
// each one shall look at certificates as they are then.
func (c *Credentials) base(protocols ...string) *tls.Config { return base(c.clock, protocols...) }

func base(clock func() time.Time, protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true, NextProtos: protocols, Time: clock,
	}
}

// ServerTLS returns the configuration of a listener on the peer port. By the protocol that the client asks for it
// demands a certificate of the cluster, or, for joiners alone, none; a client that asks for both at once or for
// neither is refused. Handshake tells afterwards which it was. The configuration must not be changed.
func (c *Credentials) ServerTLS() *tls.Config {
	// Only what GetConfigForClient returns is ever used; should it not be asked, this one lets nobody in.
	t := c.base(ProtocolControl)
	t.ClientAuth = tls.RequireAndVerifyClientCert
	t.ClientCAs = x509.NewCertPool()
	t.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		now := c.now.Load()
		if len(h.SupportedProtos) == 1 && h.SupportedProtos[0] == ProtocolJoin {
			return now.join, nil
		}
		if slices.Contains(h.SupportedProtos, ProtocolJoin) ||
			!slices.Contains(h.SupportedProtos, ProtocolControl) && !slices.Contains(h.SupportedProtos, ProtocolBytes) {
			return nil, fail("handshake", KindProtocol, "the client asks for %q", h.SupportedProtos)
		}
		return now.mutual, nil
	}
	return t
}

// ClientTLS returns the configuration of a connection to a peer that speaks ProtocolControl or ProtocolBytes. The
// handshake fails unless the peer is a node of the cluster and, if expect is not zero, that node. The configuration
// must not be changed; one serves any number of connections.
func (c *Credentials) ClientTLS(protocol string, expect NodeID) *tls.Config {
	t := c.base(protocol)
	t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return c.now.Load().shown, nil
	}
	// TLS's own verification asks for a host name. VerifyConnection verifies everything that counts here.
	t.InsecureSkipVerify = true
	t.VerifyConnection = func(s tls.ConnectionState) error {
		if s.NegotiatedProtocol != protocol {
			return fail("handshake", KindProtocol, "%q instead of %q", s.NegotiatedProtocol, protocol)
		}
		node, err := c.verify(s, x509.ExtKeyUsageServerAuth)
		if err == nil && expect != 0 && node != expect {
			return fail("handshake", KindUntrusted, "node %s answers where %s is expected", node, expect)
		}
		return err
	}
	return t
}

// verify checks the certificate of a peer against the authorities, the cluster, the clock and the list of nodes.
func (c *Credentials) verify(s tls.ConnectionState, usage x509.ExtKeyUsage) (NodeID, error) {
	h := c.now.Load()
	cluster, node, err := verifyChain(s.PeerCertificates, h.roots, c.clock(), usage)
	if err != nil {
		return 0, fail("handshake", KindUntrusted, "%w", err)
	}
	if cluster != h.Cluster {
		return 0, fail("handshake", KindUntrusted, "the peer is of cluster %s", cluster)
	}
	if c.allow != nil {
		if err := c.allow(node); err != nil {
			return 0, fail("handshake", KindUntrusted, "node %s: %w", node, err)
		}
	}
	return node, nil
}

// verifyChain returns the cluster and the node that a certificate names, after it was found to be valid now and made by
// one of the authorities.
func verifyChain(chain []*x509.Certificate, roots *x509.CertPool, now time.Time, usage x509.ExtKeyUsage) (disk.ClusterID, NodeID, error) {
	if len(chain) == 0 {
		return disk.ClusterID{}, 0, errors.New("the peer shows no certificate")
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		return disk.ClusterID{}, 0, err
	}
	return parseNode(chain[0])
}

// Peer returns the node at the other end of a connection whose handshake was made under a configuration of Credentials
// and is complete. A joiner's connection has no peer: KindUntrusted.
func Peer(s tls.ConnectionState) (NodeID, error) {
	if !s.HandshakeComplete || s.NegotiatedProtocol == ProtocolJoin || len(s.PeerCertificates) == 0 {
		return 0, fail("name peer", KindUntrusted, "the connection is not one between nodes")
	}
	_, node, err := parseNode(s.PeerCertificates[0])
	if err != nil {
		return 0, fail("name peer", KindUntrusted, "%w", err)
	}
	return node, nil
}

// Handshake completes the handshake of a connection that a listener with ServerTLS accepted, within ctx and within
// StrangerTimeout, and returns what the client speaks and, unless that is ProtocolJoin, which node it is. On an error
// the connection is closed. How many connections are in their handshake at once is the listener's to bound.
func Handshake(ctx context.Context, conn *tls.Conn) (protocol string, peer NodeID, err error) {
	ctx, cancel := context.WithTimeout(ctx, StrangerTimeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = conn.NetConn().Close()
		return "", 0, handshakeError(ctx, "handshake", err)
	}
	s := conn.ConnectionState()
	if s.NegotiatedProtocol == ProtocolJoin {
		return ProtocolJoin, 0, nil
	}
	if peer, err = Peer(s); err != nil {
		_ = conn.NetConn().Close()
		return "", 0, err
	}
	return s.NegotiatedProtocol, peer, nil
}

// handshakeError gives errors of TLS a kind. That a connection was closed because ctx had ended is not always said by TLS,
// whose own watch of the context may come second.
func handshakeError(ctx context.Context, op string, err error) error {
	var known *Error
	if errors.As(err, &known) {
		return fail(op, known.Kind, "%w", known.Err)
	}
	return lost(ctx, op, err)
}

// byHash returns the certificate with a hash.
func byHash(certs []*x509.Certificate, hash [sha256.Size]byte) (*x509.Certificate, error) {
	for _, c := range certs {
		if sha256.Sum256(c.Raw) == hash {
			return c, nil
		}
	}
	return nil, fmt.Errorf("none of %d certificates is the expected authority's", len(certs))
}
