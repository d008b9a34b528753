package trust

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/contender/contender/disk"
)

// How long a join may take at most if nothing else is said.
const (
	StrangerTimeout = 10 * time.Second // until the joiner has proven that it knows the secret
	JoinTimeout     = time.Minute      // in all
)

// Admission is a joiner that has proven that it knows the secret or a token.
type Admission struct {
	Node   NodeID            // the id that it drew for itself
	Public ed25519.PublicKey // its key
	Hosts  []string          // what it wants in its certificate
	Wishes []byte            // what it says about itself; opaque here, at most WishesBytesMax
	Token  TokenID           // the token that it came with, zero if it came with the cluster's secret
}

// ServeOptions are what a member needs to serve joins.
type ServeOptions struct {
	Cluster disk.ClusterID
	// Authority returns the cluster's authority; it is asked for proven joiners only.
	Authority func(context.Context) (*Authority, error)
	Secret    Secret // zero: nobody joins by secret
	Tokens    Tokens // nil: nobody joins by token
	Clock     func() time.Time
	Rand      io.Reader
	// Admit makes a proven joiner a member, and returns what the joiner is given besides its certificate, at most
	// PayloadBytesMax. Whoever knows a secret may ask for any id, so Admit must return a *Refusal for an id that is
	// taken by another key. It must count the use of a token in the same step in which the node is admitted, refuse a
	// token without uses left by KindSpent, and admit a node that asks again with the same key as before without
	// counting: the first answer may have been lost.
	Admit func(context.Context, Admission) (payload []byte, err error)
	// Limit bounds how many are served at once; one for all connections of the node.
	Limit *JoinLimit
	// Limits of time, StrangerTimeout and JoinTimeout if zero.
	StrangerTimeout, Timeout time.Duration
}

func (o ServeOptions) check() error {
	if o.Cluster == (disk.ClusterID{}) || o.Authority == nil || o.Clock == nil || o.Rand == nil || o.Admit == nil || o.Limit == nil {
		return fail(opServe, KindInvalid, "an option is missing")
	}
	return nil
}

const opServe = "serve join"

// ServeJoin serves one connection of a joiner to its end: it completes the handshake if need be, demands the proof, has
// the joiner admitted and issues its certificate. The connection must come from a listener with Credentials.ServerTLS;
// it is closed when ServeJoin returns. Nil means that the answer was written. The error is for this node's log: it says
// more than the joiner is told. Until the proof a connection costs little more than TLS itself, whatever it sends. A
// connection above the limit is closed unheard: KindUnavailable.
func ServeJoin(ctx context.Context, conn *tls.Conn, o ServeOptions) error {
	closeConn := func() { _ = conn.NetConn().Close() }
	defer closeConn()
	if err := o.check(); err != nil {
		return err
	}
	if !o.Limit.connect() {
		return fail(opServe, KindUnavailable, "%d connections already", cap(o.Limit.connections))
	}
	defer o.Limit.disconnect()
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(o.Timeout, JoinTimeout))
	defer cancel()
	defer context.AfterFunc(ctx, closeConn)()
	c, err := meet(ctx, conn, o)
	if err != nil {
		return err
	}
	return admit(ctx, conn, c, o)
}

// meet goes as far as both sides know of one another that they know the secret.
func meet(ctx context.Context, conn *tls.Conn, o ServeOptions) (claim, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(o.StrangerTimeout, StrangerTimeout))
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = conn.NetConn().Close() })()
	if err := conn.HandshakeContext(ctx); err != nil {
		return claim{}, handshakeError(ctx, opServe, err)
	}
	state := conn.ConnectionState()
	if state.NegotiatedProtocol != ProtocolJoin || state.Version != tls.VersionTLS13 {
		return claim{}, fail(opServe, KindProtocol, "the connection speaks %q", state.NegotiatedProtocol)
	}
	bound, err := binding(state)
	if err != nil {
		return claim{}, fail(opServe, KindProtocol, "%w", err)
	}
	_, body, err := readFrame(conn, frameHello)
	if err != nil {
		return claim{}, lost(ctx, opServe, err)
	}
	h, err := decodeHello(body)
	if err != nil {
		return claim{}, fail(opServe, KindProtocol, "%w", err)
	}
	key, known, expired, err := keyOf(ctx, h.claim, o)
	if err != nil {
		return claim{}, refuse(conn, KindUnavailable, "", err)
	}
	// The proof is looked at even if there is no key, so that a stranger learns nothing from the time it takes.
	if right := proves(h.proof, key, roleJoiner, h.claim, o.Cluster, bound); !right || !known {
		return claim{}, refuse(conn, KindDenied, "", fmt.Errorf("%s: known: %t, proof right: %t", h.claim, known, right))
	}
	if expired {
		return claim{}, refuse(conn, KindExpired, "", errors.New(h.claim.String()))
	}
	if err := writeFrame(conn, frameProof, prove(key, roleMember, h.claim, o.Cluster, bound)); err != nil {
		return claim{}, lost(ctx, opServe, err)
	}
	return h.claim, nil
}

// String names a claim for the log.
func (c claim) String() string {
	if c.kind == claimToken {
		return "token " + c.token.String()
	}
	return "cluster secret"
}

// keyOf returns the key of a claim. If it is not known the key is zero and must count for nothing.
func keyOf(ctx context.Context, c claim, o ServeOptions) (key [sha256.Size]byte, known, expired bool, err error) {
	switch {
	case c.kind == claimSecret:
		return o.Secret.key, o.Secret.given, false, nil
	case o.Tokens == nil:
		return key, false, false, nil
	}
	r, ok, err := o.Tokens.Find(ctx, c.token)
	if err != nil || !ok || r.ID != c.token {
		return key, false, false, err
	}
	return r.Key, true, !o.Clock().Before(r.Expires), nil
}

// admit hears what a proven joiner wants and answers it.
func admit(ctx context.Context, conn *tls.Conn, c claim, o ServeOptions) error {
	_, body, err := readFrame(conn, frameRequest)
	if err != nil {
		return lost(ctx, opServe, err)
	}
	q, err := decodeRequest(body)
	if err != nil {
		return refuse(conn, KindInvalid, err.Error(), err)
	}
	if err := o.Limit.begin(ctx); err != nil {
		return fail(opServe, KindConnection, "wait for admission: %w", err)
	}
	defer o.Limit.end()
	a, err := o.Authority(ctx)
	if err == nil && a.Cluster() != o.Cluster {
		err = fmt.Errorf("the authority is of cluster %s", a.Cluster())
	}
	if err != nil {
		return refuse(conn, KindUnavailable, "", err)
	}
	payload, err := o.Admit(ctx, Admission{Node: q.node, Public: q.public, Hosts: q.hosts, Wishes: q.wishes, Token: c.token})
	if r := (*Refusal)(nil); errors.As(err, &r) {
		return refuse(conn, r.kind(), r.Reason, err)
	}
	if err == nil && len(payload) > PayloadBytesMax {
		err = fmt.Errorf("a payload of %d bytes, at most %d are allowed", len(payload), PayloadBytesMax)
	}
	if err != nil {
		return refuse(conn, KindUnavailable, "", err)
	}
	cert, err := a.Issue(IssueRequest{Node: q.node, Public: q.public, Hosts: q.hosts}, o.Rand, o.Clock)
	if err != nil {
		return refuse(conn, KindUnavailable, "", err)
	}
	if err := writeFrame(conn, frameReply, reply{cert, a.certs, payload}.encode()); err != nil {
		return lost(ctx, opServe, err)
	}
	return nil
}

// refuse tells the joiner that it is refused and, as far as reason goes, why. It returns the error for the log.
func refuse(conn io.Writer, k Kind, reason string, why error) error {
	if err := writeFrame(conn, frameRefusal, encodeRefusal(k, reason)); err != nil {
		why = fmt.Errorf("%w; the refusal did not arrive: %w", why, err)
	}
	return fail(opServe, k, "%w", why)
}

// lost gives an error of a connection its kind.
func lost(ctx context.Context, op string, err error) error {
	if errors.Is(err, errFrame) {
		return fail(op, KindProtocol, "%w", err)
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fail(op, KindConnection, "%w: %w", cause, err)
	}
	return fail(op, KindConnection, "%w", err)
}
