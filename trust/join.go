package trust

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/contender/contender/disk"
)

// JoinOptions are what a joiner brings. It has a secret or a token, not both.
type JoinOptions struct {
	Secret    Secret
	Token     Token
	Applicant Applicant // see OpenApplicant: the same one each time until it is admitted
	Hosts     []string  // names and addresses for the certificate
	Wishes    []byte    // what it tells about itself, at most WishesBytesMax; only a proven member hears it
	Clock     func() time.Time
	Timeout   time.Duration // JoinTimeout if zero
}

const opJoin = "join"

func (o JoinOptions) check() error {
	switch {
	case o.Clock == nil || o.Applicant.Node == 0 || len(o.Applicant.Key) != ed25519.PrivateKeySize:
		return fail(opJoin, KindInvalid, "an option is missing")
	case o.Secret.IsZero() == o.Token.IsZero():
		return fail(opJoin, KindInvalid, "want either the cluster's secret or a token")
	case len(o.Wishes) > WishesBytesMax:
		return fail(opJoin, KindInvalid, "%d bytes of wishes, at most %d are allowed", len(o.Wishes), WishesBytesMax)
	case !o.Token.IsZero() && !o.Clock().Before(o.Token.Expires()):
		return fail(opJoin, KindExpired, "the token was valid until %s", o.Token.Expires().Format(time.RFC3339))
	}
	if err := addHosts(new(x509.Certificate), o.Hosts); err != nil {
		return fail(opJoin, KindInvalid, "%w", err)
	}
	return nil
}

// Join asks one member, reached by dial, to be admitted, and returns the new identity and what the member gave besides.
// The identity is not saved yet. It makes one attempt and ends by itself within the time limit; KindConnection and
// KindUnavailable are worth another attempt or another member. Nothing that it sends helps anybody who does not know
// the secret.
func Join(ctx context.Context, dial func(context.Context) (net.Conn, error), o JoinOptions) (Identity, []byte, error) {
	if err := o.check(); err != nil {
		return Identity{}, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(o.Timeout, JoinTimeout))
	defer cancel()
	plain, err := dial(ctx)
	if err != nil {
		return Identity{}, nil, fail(opJoin, KindConnection, "%w", err)
	}
	closeConn := func() { _ = plain.Close() }
	defer closeConn()
	defer context.AfterFunc(ctx, closeConn)()

	j := joiner{JoinOptions: o}
	conn := tls.Client(plain, j.tls())
	if err := conn.HandshakeContext(ctx); err != nil {
		return Identity{}, nil, handshakeError(ctx, opJoin, err)
	}
	if err := j.prove(ctx, conn); err != nil {
		return Identity{}, nil, err
	}
	return j.ask(ctx, conn)
}

// joiner is one attempt to join.
type joiner struct {
	JoinOptions
	cluster disk.ClusterID      // as the member's certificate says
	member  []*x509.Certificate // what the member showed
}

// tls returns the configuration of a connection to a member. With a token the member's certificate must come from the
// authority that the token names. With the secret alone there is nothing yet to verify it by: what the member's
// certificate claims is verified by the proof, and once more when the authority is known.
func (j *joiner) tls() *tls.Config {
	t := base(j.Clock, ProtocolJoin)
	t.InsecureSkipVerify = true
	t.VerifyConnection = func(s tls.ConnectionState) (err error) {
		if s.NegotiatedProtocol != ProtocolJoin {
			return fail("handshake", KindProtocol, "%q instead of %q", s.NegotiatedProtocol, ProtocolJoin)
		}
		j.member = s.PeerCertificates
		if j.Token.IsZero() {
			if len(j.member) == 0 {
				return fail("handshake", KindUntrusted, "the member shows no certificate")
			}
			j.cluster, _, err = parseNode(j.member[0])
		} else {
			j.cluster, err = j.verifyMember()
		}
		if err != nil {
			return fail("handshake", KindUntrusted, "%w", err)
		}
		return nil
	}
	return t
}

// verifyMember checks what the member shows against the authority of the token.
func (j *joiner) verifyMember() (disk.ClusterID, error) {
	authority, err := byHash(j.member, j.Token.authority)
	if err != nil {
		return disk.ClusterID{}, err
	}
	of, err := parseAuthority(authority)
	if err != nil {
		return disk.ClusterID{}, err
	}
	cluster, _, err := verifyChain(j.member, pool([]*x509.Certificate{authority}), j.Clock(), x509.ExtKeyUsageServerAuth)
	if err == nil && cluster != of {
		err = fmt.Errorf("a member of cluster %s with the authority of %s", cluster, of)
	}
	return cluster, err
}

// prove shows the member that the joiner knows the secret, and demands the same of it.
func (j *joiner) prove(ctx context.Context, conn *tls.Conn) error {
	bound, err := binding(conn.ConnectionState())
	if err != nil {
		return fail(opJoin, KindProtocol, "%w", err)
	}
	c, key := claim{kind: claimSecret}, j.Secret.key
	if !j.Token.IsZero() {
		c, key = claim{claimToken, j.Token.id}, j.Token.key()
	}
	h := hello{c, prove(key, roleJoiner, c, j.cluster, bound)}
	if err := writeFrame(conn, frameHello, h.encode()); err != nil {
		return lost(ctx, opJoin, err)
	}
	k, body, err := readFrame(conn, frameProof, frameRefusal)
	if err != nil {
		return lost(ctx, opJoin, err)
	}
	if k == frameRefusal {
		why, _ := decodeRefusal(body) // who refuses has proven nothing: its words are not shown
		return fail(opJoin, why, "the member did not accept the %s", c)
	}
	if len(body) != sha256.Size || !proves(body, key, roleMember, c, j.cluster, bound) {
		return fail(opJoin, KindUntrusted, "the member does not know the %s", c)
	}
	return nil
}

// ask tells a proven member who wants to join and verifies what it answers.
func (j *joiner) ask(ctx context.Context, conn *tls.Conn) (Identity, []byte, error) {
	q := request{node: j.Applicant.Node, hosts: j.Hosts, wishes: j.Wishes}
	body, err := q.encode(j.Applicant.Key)
	if err != nil {
		return Identity{}, nil, fail(opJoin, KindInvalid, "%w", err)
	}
	if err := writeFrame(conn, frameRequest, body); err != nil {
		return Identity{}, nil, lost(ctx, opJoin, err)
	}
	k, body, err := readFrame(conn, frameReply, frameRefusal)
	if err != nil {
		return Identity{}, nil, lost(ctx, opJoin, err)
	}
	if k == frameRefusal {
		why, reason := decodeRefusal(body)
		return Identity{}, nil, fail(opJoin, why, "the cluster says: %s", cmp.Or(reason, "nothing"))
	}
	r, err := decodeReply(body)
	if err != nil {
		return Identity{}, nil, fail(opJoin, KindProtocol, "%w", err)
	}
	id, err := j.identity(r)
	if err != nil {
		return Identity{}, nil, fail(opJoin, KindUntrusted, "%w", err)
	}
	return id, r.payload, nil
}

// identity checks that an answer fits the question, the member and the token.
func (j *joiner) identity(r reply) (Identity, error) {
	id := Identity{
		Cluster: j.cluster, Node: j.Applicant.Node, Key: j.Applicant.Key,
		Certificate: r.certificate, Authorities: r.authorities,
	}
	if err := id.check(); err != nil {
		return Identity{}, err
	}
	roots, now := pool(r.authorities), j.Clock()
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, _, err := verifyChain([]*x509.Certificate{r.certificate}, roots, now, usage); err != nil {
			return Identity{}, err
		}
	}
	if cluster, _, err := verifyChain(j.member, roots, now, x509.ExtKeyUsageServerAuth); err != nil || cluster != j.cluster {
		return Identity{}, errors.Join(errors.New("the member is not of the cluster whose authority it gave"), err)
	}
	if !j.Token.IsZero() && !slices.ContainsFunc(r.authorities, func(c *x509.Certificate) bool {
		return sha256.Sum256(c.Raw) == j.Token.authority
	}) {
		return Identity{}, errors.New("the token's authority is not among the cluster's")
	}
	return id, nil
}
