package trust

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"time"

	"github.com/contender/contender/disk"
)

// How long certificates are valid. A cluster that was switched off must be able to start again without anybody's help,
// and whoever steals a node's key could have the authority's as well, so short lives would protect nothing.
const (
	AuthorityValidFor = 30 * 365 * 24 * time.Hour
	NodeValidFor      = 5 * 365 * 24 * time.Hour
	// backdated is how far before its making a certificate is valid already, for nodes whose clocks are behind.
	backdated = 24 * time.Hour
)

// Bounds of the hosts in a certificate.
const (
	hostsMax = 32
	hostMax  = 253 // bytes
)

// Authority is a cluster's certificate authority with its key. It never changes; it is safe for concurrent use.
type Authority struct {
	cluster disk.ClusterID
	key     ed25519.PrivateKey
	certs   []*x509.Certificate // its own first, then others that the cluster trusts
}

// NewAuthority makes the authority of a new cluster. The key comes from random alone (32 bytes of it), so the source
// must be a cryptographic one; the clock says from when it is valid.
func NewAuthority(cluster disk.ClusterID, random io.Reader, clock func() time.Time) (*Authority, error) {
	if cluster == (disk.ClusterID{}) {
		return nil, fail("make authority", KindInvalid, "no cluster")
	}
	key, err := newKey(random)
	if err != nil {
		return nil, fail("make authority", KindInvalid, "%w", err)
	}
	serial, err := newSerial(random)
	if err != nil {
		return nil, fail("make authority", KindInvalid, "%w", err)
	}
	now := clock()
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Contender cluster " + cluster.String()},
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.Add(AuthorityValidFor),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	t.URIs = append(t.URIs, authorityName(cluster))
	der, err := x509.CreateCertificate(random, t, t, key.Public(), key)
	if err != nil {
		return nil, fail("make authority", KindInvalid, "%w", err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fail("make authority", KindInvalid, "%w", err)
	}
	return &Authority{cluster, key, []*x509.Certificate{c}}, nil
}

func newKey(random io.Reader) (ed25519.PrivateKey, error) {
	var seed [ed25519.SeedSize]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, fmt.Errorf("draw a key: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed[:]), nil
}

func newSerial(random io.Reader) (*big.Int, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	b[0] = b[0]&0x7f | 0x40 // positive, never zero
	return new(big.Int).SetBytes(b[:]), nil
}

// Cluster returns the cluster that the authority speaks for.
func (a *Authority) Cluster() disk.ClusterID { return a.cluster }

// Certificates returns the authority's own certificate and then the others that the cluster trusts.
func (a *Authority) Certificates() []*x509.Certificate { return slices.Clone(a.certs) }

// Hash returns the SHA-256 of the authority's own certificate; tokens carry it.
func (a *Authority) Hash() [sha256.Size]byte { return sha256.Sum256(a.certs[0].Raw) }

// Trusting returns the authority as one that makes nodes trust other authorities of the cluster besides itself: the way
// from an old authority to a new one.
func (a *Authority) Trusting(others ...*x509.Certificate) (*Authority, error) {
	b := *a
	b.certs = slices.Clone(a.certs)
	for _, o := range others {
		if !slices.ContainsFunc(b.certs, o.Equal) {
			b.certs = append(b.certs, o)
		}
	}
	if err := checkAuthorities(b.certs); err != nil {
		return nil, fail("trust another authority", KindInvalid, "%w", err)
	}
	return &b, nil
}

// String names the authority without its key.
func (a *Authority) String() string { return "authority of cluster " + a.cluster.String() }

// GoString is String: the key is never printed.
func (a *Authority) GoString() string { return a.String() }

type authorityWire struct {
	Format       int      `json:"format"`
	Cluster      string   `json:"cluster"`
	Key          []byte   `json:"key"` // seed of the Ed25519 key
	Certificates [][]byte `json:"certificates"`
}

// Encode returns the authority with its key, for a system record.
func (a *Authority) Encode() ([]byte, error) {
	b, err := seal(authorityWire{format, a.cluster.String(), a.key.Seed(), raw(a.certs)})
	if err != nil {
		return nil, fail("encode authority", KindInvalid, "%w", err)
	}
	return b, nil
}

// DecodeAuthority reads what Encode wrote. KindInvalid if it is damaged or of a later format.
func DecodeAuthority(b []byte) (*Authority, error) {
	const op = "decode authority"
	var w authorityWire
	if err := unseal(b, &w); err != nil {
		return nil, fail(op, KindInvalid, "%w", err)
	}
	certs, err := parseAuthorities(w.Certificates)
	if err != nil {
		return nil, fail(op, KindInvalid, "%w", err)
	}
	cluster, err := parseAuthority(certs[0])
	if err != nil || cluster.String() != w.Cluster {
		return nil, fail(op, KindInvalid, "the certificate is not of cluster %q", w.Cluster)
	}
	if len(w.Key) != ed25519.SeedSize {
		return nil, fail(op, KindInvalid, "a key of %d bytes", len(w.Key))
	}
	a := &Authority{cluster, ed25519.NewKeyFromSeed(w.Key), certs}
	if !owns(a.key, certs[0]) {
		return nil, fail(op, KindInvalid, "the key is not the certificate's")
	}
	return a, nil
}

// IssueRequest says to whom a certificate is made out.
type IssueRequest struct {
	Node   NodeID
	Public ed25519.PublicKey
	// Hosts are names and addresses that enter the certificate for tools that look at them; nodes do not.
	Hosts []string
	// ValidFor is how long the certificate is valid, NodeValidFor if zero; never longer than the authority's own.
	ValidFor time.Duration
}

// Issue makes a node's certificate. The serial number comes from random.
func (a *Authority) Issue(r IssueRequest, random io.Reader, clock func() time.Time) (*x509.Certificate, error) {
	const op = "issue certificate"
	if r.Node == 0 || len(r.Public) != ed25519.PublicKeySize || r.ValidFor < 0 {
		return nil, fail(op, KindInvalid, "node %s, key of %d bytes, valid for %s", r.Node, len(r.Public), r.ValidFor)
	}
	serial, err := newSerial(random)
	if err != nil {
		return nil, fail(op, KindInvalid, "%w", err)
	}
	now, own := clock(), a.certs[0]
	if r.ValidFor == 0 {
		r.ValidFor = NodeValidFor
	}
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Contender node " + r.Node.String()},
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.Add(r.ValidFor),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	if t.NotAfter.After(own.NotAfter) {
		t.NotAfter = own.NotAfter
	}
	if !t.NotAfter.After(now) {
		return nil, fail(op, KindExpired, "the authority was valid until %s", own.NotAfter.Format(time.DateOnly))
	}
	t.URIs = append(t.URIs, nodeName(a.cluster, r.Node))
	if err := addHosts(t, r.Hosts); err != nil {
		return nil, fail(op, KindInvalid, "%w", err)
	}
	der, err := x509.CreateCertificate(random, t, own, r.Public, a.key)
	if err != nil {
		return nil, fail(op, KindInvalid, "%w", err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fail(op, KindInvalid, "%w", err)
	}
	return c, nil
}

// addHosts adds names and addresses to a certificate.
func addHosts(t *x509.Certificate, hosts []string) error {
	if len(hosts) > hostsMax {
		return fmt.Errorf("%d hosts, at most %d are allowed", len(hosts), hostsMax)
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
			continue
		}
		if !hostName(h) {
			return fmt.Errorf("host %q is neither a name nor an address", printable([]byte(h)))
		}
		t.DNSNames = append(t.DNSNames, h)
	}
	return nil
}

func hostName(h string) bool {
	if h == "" || len(h) > hostMax || h[0] == '.' || h[0] == '-' {
		return false
	}
	return !slices.ContainsFunc([]byte(h), func(c byte) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_')
	})
}

// Identity makes a node's identity: a certificate for its key. The founder has its own from here.
func (a *Authority) Identity(who Applicant, hosts []string, random io.Reader, clock func() time.Time) (Identity, error) {
	if len(who.Key) != ed25519.PrivateKeySize {
		return Identity{}, fail("issue certificate", KindInvalid, "no key")
	}
	r := IssueRequest{Node: who.Node, Public: who.Key.Public().(ed25519.PublicKey), Hosts: hosts}
	c, err := a.Issue(r, random, clock)
	if err != nil {
		return Identity{}, err
	}
	return Identity{Cluster: a.cluster, Node: who.Node, Key: who.Key, Certificate: c, Authorities: a.Certificates()}, nil
}

// Renew makes a new certificate for a node that has one: same node, same key, the authorities of now. A node calls it
// for itself when Identity.RenewAt has come, or when the cluster's authorities have changed.
func (a *Authority) Renew(id Identity, hosts []string, random io.Reader, clock func() time.Time) (Identity, error) {
	if id.Cluster != a.cluster {
		return Identity{}, fail("renew certificate", KindInvalid, "%w", errors.New("the node is of another cluster"))
	}
	return a.Identity(id.Applicant(), hosts, random, clock)
}
