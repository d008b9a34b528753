package trust

import (
	"bytes"
	"testing"
	"time"
)

// FuzzFrame: no bytes make the reader of frames panic or keep more than came; what it takes is what is written again.
func FuzzFrame(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00"))
	f.Add(append([]byte{byte(frameProof), 0, 0, 0, 32}, make([]byte, 32)...))
	f.Add([]byte{byte(frameReply), 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		k, body, err := readFrame(bytes.NewReader(b), frameHello, frameProof, frameRequest, frameReply, frameRefusal)
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := writeFrame(&out, k, body); err != nil || !bytes.HasPrefix(b, out.Bytes()) {
			t.Errorf("%x was read and %x is written: %v", b, out.Bytes(), err)
		}
		_, _ = decodeRefusal(body)
		if h, err := decodeHello(body); err == nil && !bytes.Equal(h.encode(), body) {
			t.Errorf("another hello: %x", body)
		}
	})
}

// FuzzRequest: a request that is taken is within its bounds.
func FuzzRequest(f *testing.F) {
	a, err := NewApplicant(newRandom(1))
	if err != nil {
		f.Fatal(err)
	}
	b, err := request{node: a.Node, hosts: []string{"a", "::1"}, wishes: []byte("w")}.encode(a.Key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := decodeRequest(b)
		if err == nil && (q.node == 0 || len(q.public) != 32 || len(q.hosts) > hostsMax || len(q.wishes) > WishesBytesMax) {
			t.Errorf("%+v", q)
		}
	})
}

// FuzzReply: no bytes make the joiner panic.
func FuzzReply(f *testing.F) {
	authority, err := NewAuthority(testCluster, newRandom(1), func() time.Time { return testStart })
	if err != nil {
		f.Fatal(err)
	}
	f.Add(reply{authority.certs[0], authority.certs, []byte("map")}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeReply(b)
		if err == nil && !bytes.Equal(r.encode(), b) {
			t.Errorf("another reply: %x", b)
		}
	})
}

// FuzzToken: what parses as a token is the token of exactly that text.
func FuzzToken(f *testing.F) {
	authority, err := NewAuthority(testCluster, newRandom(1), func() time.Time { return testStart })
	if err != nil {
		f.Fatal(err)
	}
	token, record, err := NewToken(authority, testStart, 1, newRandom(2))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token.Text())
	f.Add(tokenMark)
	b, err := record.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(b))
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := ParseToken(text); err == nil && !bytes.EqualFold([]byte(got.Text()), bytes.TrimSpace([]byte(text))) {
			t.Errorf("%q became %q", text, got.Text())
		}
		_, _ = ParseSecret(text)
		_, _ = DecodeTokenRecord([]byte(text))
	})
}

// FuzzRecord: no bytes make the readers of records panic. The checksum is set right, so that the fields are reached.
func FuzzRecord(f *testing.F) {
	authority, err := NewAuthority(testCluster, newRandom(1), func() time.Time { return testStart })
	if err != nil {
		f.Fatal(err)
	}
	for _, w := range []any{
		authorityWire{format, testCluster.String(), authority.key.Seed(), raw(authority.certs)},
		identityWire{Format: format, Node: "0000000000000001", Key: make([]byte, 32)},
		tokenWire{format, "0000000000000001", make([]byte, 32), 1, 1},
	} {
		b, err := seal(w)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:bytes.IndexByte(b, '\n')])
	}
	f.Fuzz(func(_ *testing.T, line []byte) {
		b := sealLine(line)
		_, _ = DecodeAuthority(b)
		_, _ = DecodeTokenRecord(b)
		_, _, _, _ = decodeIdentityWire(b)
	})
}
