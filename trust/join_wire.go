package trust

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/binary"
	"fmt"
)

// hello is the first frame of a joiner.
type hello struct {
	claim
	proof []byte
}

func (h hello) encode() []byte {
	b := append([]byte{h.kind}, h.token[:]...)
	return append(b, h.proof...)
}

func decodeHello(b []byte) (h hello, err error) {
	if len(b) != helloBytes || b[0] != claimSecret && b[0] != claimToken {
		return h, fmt.Errorf("%w: a hello of %d bytes", errFrame, len(b))
	}
	h.kind = b[0]
	copy(h.token[:], b[1:])
	h.proof = b[1+len(h.token):]
	if h.kind == claimSecret && h.token != (TokenID{}) {
		return h, fmt.Errorf("%w: a token where there is none", errFrame)
	}
	return h, nil
}

// request is what a proven joiner asks for.
type request struct {
	node   NodeID
	public ed25519.PublicKey
	hosts  []string
	wishes []byte
}

// encode makes the frame: node (8), certificate request (PKCS #10, so that the key is shown to be the joiner's), hosts,
// wishes.
func (q request) encode(key ed25519.PrivateKey) ([]byte, error) {
	csr, err := x509.CreateCertificateRequest(nil, new(x509.CertificateRequest), key)
	if err != nil {
		return nil, err
	}
	b := appendField(nil, binary.BigEndian.AppendUint64(nil, uint64(q.node)))
	b = appendField(b, csr)
	hosts := make([][]byte, len(q.hosts))
	for i, h := range q.hosts {
		hosts[i] = []byte(h)
	}
	return appendField(appendList(b, hosts), q.wishes), nil
}

// decodeRequest reads what encode made; everything in it is within its bounds.
func decodeRequest(b []byte) (q request, err error) {
	f := fields{rest: b}
	node, csr := f.next(), f.next()
	for _, h := range f.list(hostsMax) {
		q.hosts = append(q.hosts, string(h))
	}
	q.wishes = f.next()
	if err := f.end(); err != nil {
		return request{}, err
	}
	if len(node) != 8 || binary.BigEndian.Uint64(node) == 0 || len(q.wishes) > WishesBytesMax {
		return request{}, fmt.Errorf("%w: no node, or %d bytes of wishes", errFrame, len(q.wishes))
	}
	q.node = NodeID(binary.BigEndian.Uint64(node))
	if err := addHosts(new(x509.Certificate), q.hosts); err != nil {
		return request{}, err
	}
	c, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return request{}, fmt.Errorf("%w: certificate request: %w", errFrame, err)
	}
	var ok bool
	if q.public, ok = c.PublicKey.(ed25519.PublicKey); !ok {
		return request{}, fmt.Errorf("%w: a key of type %T", errFrame, c.PublicKey)
	}
	if err := c.CheckSignature(); err != nil {
		return request{}, fmt.Errorf("%w: certificate request: %w", errFrame, err)
	}
	return q, nil
}

// reply is what an admitted joiner gets.
type reply struct {
	certificate *x509.Certificate
	authorities []*x509.Certificate
	payload     []byte
}

func (r reply) encode() []byte {
	b := appendField(nil, r.certificate.Raw)
	return appendField(appendList(b, raw(r.authorities)), r.payload)
}

// decodeReply reads what encode made. Nothing in it is verified.
func decodeReply(b []byte) (r reply, err error) {
	f := fields{rest: b}
	certificate, authorities := f.next(), f.list(authoritiesMax)
	r.payload = f.next()
	if err := f.end(); err != nil {
		return reply{}, err
	}
	if r.certificate, err = x509.ParseCertificate(certificate); err != nil {
		return reply{}, fmt.Errorf("%w: certificate: %w", errFrame, err)
	}
	if r.authorities, err = parseAuthorities(authorities); err != nil {
		return reply{}, fmt.Errorf("%w: authorities: %w", errFrame, err)
	}
	return r, nil
}

// refusalCode is a kind as it is sent. The numbers are the protocol's.
func refusalCode(k Kind) byte {
	switch k {
	case KindDenied:
		return 1
	case KindExpired:
		return 2
	case KindSpent:
		return 3
	case KindRefused:
		return 4
	case KindInvalid:
		return 5
	}
	return 6 // KindUnavailable
}

func encodeRefusal(k Kind, reason string) []byte {
	return append([]byte{refusalCode(k)}, reason[:min(len(reason), reasonMax)]...)
}

// decodeRefusal reads a refusal; the reason is made printable.
func decodeRefusal(b []byte) (Kind, string) {
	if len(b) == 0 {
		return KindProtocol, ""
	}
	reason := printable(b[1:])
	for _, k := range []Kind{KindDenied, KindExpired, KindSpent, KindRefused, KindInvalid, KindUnavailable} {
		if refusalCode(k) == b[0] {
			return k, reason
		}
	}
	return KindProtocol, reason
}
