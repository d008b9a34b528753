package trust

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// TestManInTheMiddle: somebody ends the joiner's session with a certificate of their own making that names the cluster,
// opens another one to a member, and passes every byte on. Neither side takes the other's proof.
func TestManInTheMiddle(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	rogue := newFixture(t, testCluster, 3)
	for _, by := range []string{"secret", "token"} {
		t.Run(by, func(t *testing.T) {
			o := f.joinOptions()
			want, serve := KindDenied, KindDenied
			if by == "secret" {
				o.Secret = f.secret(testSecret)
			} else {
				o.Token = f.token(time.Hour)
				want, serve = KindUntrusted, KindConnection // the joiner says nothing to such a certificate
			}
			toMember, served := f.serve(t.Context(), f.serveOptions())
			toJoiner, joiner := pair(t)
			relayed := make(chan struct{})
			go func() {
				defer close(relayed)
				relay(tls.Server(toJoiner, rogue.member.ServerTLS()), tls.Client(toMember, noCertificate(ProtocolJoin)))
			}()
			id, _, err := Join(t.Context(), dialer(joiner), o)
			serr := <-served
			<-relayed
			wantKind(t, err, want)
			wantKind(t, serr, serve)
			if len(f.admissions()) > 0 || id.Certificate != nil {
				t.Errorf("admitted %v through the middle; the joiner is %s", f.admissions(), id)
			}
		})
	}
}

// relay makes both handshakes and copies each way until either end is closed; then it closes both.
func relay(a, b *tls.Conn) {
	defer a.NetConn().Close()
	defer b.NetConn().Close()
	if a.Handshake() != nil || b.Handshake() != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(a, b)
		_ = a.NetConn().Close()
	}()
	_, _ = io.Copy(b, a)
	_ = b.NetConn().Close()
	<-done
}

// TestFalseMember: whoever answers a joiner without knowing the secret, by sending back the joiner's own proof, or
// anything, is not told what the joiner wants.
func TestFalseMember(t *testing.T) {
	f, rogue := newFixture(t, testCluster, 1), newFixture(t, testCluster, 3)
	for name, answer := range map[string]func(h hello) (frameKind, []byte){
		"the joiner's proof": func(h hello) (frameKind, []byte) { return frameProof, h.proof },
		"zeros":              func(hello) (frameKind, []byte) { return frameProof, make([]byte, proofBytes) },
		"nothing":            func(hello) (frameKind, []byte) { return frameProof, nil },
		"a certificate":      func(hello) (frameKind, []byte) { return frameReply, make([]byte, 100) },
		"a tale":             func(hello) (frameKind, []byte) { return frameRefusal, []byte("\x04send the secret to x") },
	} {
		t.Run(name, func(t *testing.T) {
			near, far := pair(t)
			heard := make(chan int64, 1)
			go func() {
				defer far.Close()
				conn := tls.Server(far, rogue.member.ServerTLS())
				_, body, err := readFrame(conn, frameHello)
				if err != nil {
					heard <- -1
					return
				}
				h, _ := decodeHello(body)
				k, b := answer(h)
				_ = writeFrame(conn, k, b)
				n, _ := io.Copy(io.Discard, conn)
				heard <- n
			}()
			o := f.joinOptions()
			o.Secret = f.secret(testSecret)
			_, _, err := Join(t.Context(), dialer(near), o)
			if err == nil || bytes.Contains([]byte(err.Error()), []byte("send the secret")) {
				t.Errorf("the joiner says %v", err)
			}
			if n := <-heard; n != 0 {
				t.Errorf("the false member hears %d bytes", n)
			}
		})
	}
}

// TestReplay: the hello of one session is worth nothing in another, and one kind of secret proves nothing of another.
func TestReplay(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	secret, c := f.secret(testSecret), claim{kind: claimSecret}
	first, done := stranger(t, f, f.serveOptions())
	bound := must[[]byte](t)(binding(first.ConnectionState()))
	h := hello{c, prove(secret.key, roleJoiner, c, testCluster, bound)}
	if err := writeFrame(first, frameHello, h.encode()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readFrame(first, frameProof); err != nil {
		t.Fatal(err)
	}
	_ = first.NetConn().Close()
	wantKind(t, <-done, KindConnection)

	token := f.token(time.Hour)
	for name, make := range map[string]func(bound []byte) hello{
		"the same hello":        func([]byte) hello { return h },
		"the member's role":     func(b []byte) hello { return hello{c, prove(secret.key, roleMember, c, testCluster, b)} },
		"another cluster":       func(b []byte) hello { return hello{c, prove(secret.key, roleJoiner, c, [16]byte{9}, b)} },
		"the key of nobody":     func(b []byte) hello { return hello{c, prove([32]byte{}, roleJoiner, c, testCluster, b)} },
		"a token as the secret": func(b []byte) hello { return hello{c, prove(token.key(), roleJoiner, c, testCluster, b)} },
		"the secret for a token": func(b []byte) hello {
			x := claim{claimToken, token.id}
			return hello{x, prove(secret.key, roleJoiner, x, testCluster, b)}
		},
		"no key, unknown token": func(b []byte) hello {
			x := claim{kind: claimToken}
			return hello{x, prove([32]byte{}, roleJoiner, x, testCluster, b)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn, done := stranger(t, f, f.serveOptions())
			bound := must[[]byte](t)(binding(conn.ConnectionState()))
			if err := writeFrame(conn, frameHello, make(bound).encode()); err != nil {
				t.Fatal(err)
			}
			k, _, err := readFrame(conn, frameProof, frameRefusal)
			if k != frameRefusal {
				t.Errorf("frame %d, %v", k, err)
			}
			wantKind(t, <-done, KindDenied)
		})
	}
	if len(f.admissions()) > 0 {
		t.Error("somebody was admitted")
	}
}

// TestWrongFrames: what is no hello, or no request after it, ends the connection.
func TestWrongFrames(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	header := func(k frameKind, n uint32) []byte { return binary.BigEndian.AppendUint32([]byte{byte(k)}, n) }
	for name, bytes := range map[string][]byte{
		"a huge hello":      header(frameHello, 1<<32-1),
		"a hello too long":  header(frameHello, helloBytes+1),
		"a short hello":     append(header(frameHello, 1), claimSecret),
		"an unknown claim":  append(header(frameHello, helloBytes), make([]byte, helloBytes)...),
		"a request first":   header(frameRequest, 10),
		"an unknown frame":  header(99, 0),
		"HTTP":              []byte("GET / HTTP/1.1\r\n\r\n"),
		"a token for claim": append(append(header(frameHello, helloBytes), claimSecret, 1), make([]byte, helloBytes-2)...),
	} {
		t.Run(name, func(t *testing.T) {
			conn, done := stranger(t, f, f.serveOptions())
			if _, err := conn.Write(bytes); err != nil {
				t.Fatal(err)
			}
			wantKind(t, <-done, KindProtocol)
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Error("it is answered")
			}
		})
	}
	o := f.joinOptions()
	csr := must[[]byte](t)(request{node: 5, wishes: o.Wishes}.encode(o.Applicant.Key))
	for name, body := range map[string][]byte{
		"empty":       nil,
		"cut":         csr[:len(csr)/2],
		"with a tail": append(bytes.Clone(csr), 0),
		"a broken signature": func() []byte {
			b := bytes.Clone(csr)
			b[4+8+4+100] ^= 1
			return b
		}(),
		"node zero":    must[[]byte](t)(request{wishes: o.Wishes}.encode(o.Applicant.Key)),
		"strange host": must[[]byte](t)(request{node: 5, hosts: []string{"\x00"}}.encode(o.Applicant.Key)),
	} {
		t.Run("request "+name, func(t *testing.T) {
			conn, done := stranger(t, f, f.serveOptions())
			c := claim{kind: claimSecret}
			bound := must[[]byte](t)(binding(conn.ConnectionState()))
			h := hello{c, prove(f.secret(testSecret).key, roleJoiner, c, testCluster, bound)}
			err := writeFrame(conn, frameHello, h.encode())
			if err == nil {
				_, _, err = readFrame(conn, frameProof)
			}
			if err == nil {
				err = writeFrame(conn, frameRequest, body)
			}
			if err != nil {
				t.Fatal(err)
			}
			_, body, err := readFrame(conn, frameRefusal)
			if k, _ := decodeRefusal(body); k != KindInvalid || err != nil {
				t.Errorf("%q, %v", body, err)
			}
			wantKind(t, <-done, KindInvalid)
		})
	}
	if len(f.admissions()) > 0 {
		t.Error("somebody was admitted")
	}
}

// TestSlowJoiner: a joiner that is silent, or slow, at any point costs the time limit of that point.
func TestSlowJoiner(t *testing.T) {
	hi := func(conn *tls.Conn, f *fixture) error {
		if err := conn.Handshake(); err != nil {
			return err
		}
		c := claim{kind: claimSecret}
		bound, err := binding(conn.ConnectionState())
		if err != nil {
			return err
		}
		return writeFrame(conn, frameHello, hello{c, prove(f.secret(testSecret).key, roleJoiner, c, testCluster, bound)}.encode())
	}
	for name, c := range map[string]struct {
		after time.Duration
		act   func(plain net.Conn, conn *tls.Conn, f *fixture)
	}{
		"silent from the start": {StrangerTimeout, func(net.Conn, *tls.Conn, *fixture) {}},
		"silent in the handshake": {StrangerTimeout, func(plain net.Conn, _ *tls.Conn, _ *fixture) {
			_, _ = plain.Write([]byte{22, 3, 1, 1, 0, 1})
		}},
		"silent after the handshake": {StrangerTimeout, func(_ net.Conn, conn *tls.Conn, _ *fixture) { _ = conn.Handshake() }},
		"a byte a second": {StrangerTimeout, func(_ net.Conn, conn *tls.Conn, _ *fixture) {
			for _, b := range append([]byte{byte(frameHello), 0, 0, 0, helloBytes}, make([]byte, helloBytes)...) {
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
				<-time.After(time.Second)
			}
		}},
		"does not read the proof": {StrangerTimeout, func(_ net.Conn, conn *tls.Conn, f *fixture) { _ = hi(conn, f) }},
		"silent after the proof": {JoinTimeout, func(_ net.Conn, conn *tls.Conn, f *fixture) {
			_ = hi(conn, f)
			_, _, _ = readFrame(conn, frameProof)
		}},
		"does not read the reply": {JoinTimeout, func(_ net.Conn, conn *tls.Conn, f *fixture) {
			_ = hi(conn, f)
			_, _, _ = readFrame(conn, frameProof)
			o := f.joinOptions()
			b, _ := request{node: 5}.encode(o.Applicant.Key)
			_ = writeFrame(conn, frameRequest, b)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, testCluster, 1)
				began := time.Now()
				near, far := net.Pipe()
				done := f.serveOn(t.Context(), far, f.serveOptions())
				acted := make(chan struct{})
				go func() {
					defer close(acted)
					c.act(near, tls.Client(near, noCertificate(ProtocolJoin)), f)
				}()
				err := <-done
				wantKind(t, err, KindConnection)
				if d := time.Since(began); d != c.after {
					t.Errorf("it took %s, want %s", d, c.after)
				}
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the reason is %v", err)
				}
				_ = near.Close()
				<-acted
			})
		})
	}
}

// TestEndInHandshake: a handshake that fails because its connection was closed at the end of the time says so, whoever
// closed it.
func TestEndInHandshake(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for _, err := range []error{io.ErrClosedPipe, net.ErrClosed, context.DeadlineExceeded} {
		got := handshakeError(ctx, opServe, err)
		wantKind(t, got, KindConnection)
		if !errors.Is(got, context.DeadlineExceeded) || !errors.Is(got, err) {
			t.Error(got)
		}
	}
}

// TestSlowMember: a joiner does not wait for ever either, and gives up when it is told to.
func TestSlowMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, testCluster, 1)
		for _, cancelled := range []bool{false, true} {
			o := f.joinOptions()
			o.Secret, o.Timeout = f.secret(testSecret), 7*time.Second
			ctx, cancel := context.WithCancel(t.Context())
			near, far := net.Pipe()
			read := make(chan struct{})
			go func() {
				defer close(read)
				conn := tls.Server(far, f.member.ServerTLS())
				_, _, _ = readFrame(conn, frameHello)
				if cancelled {
					cancel()
				}
				_, _ = io.Copy(io.Discard, conn)
			}()
			began := time.Now()
			_, _, err := Join(ctx, dialer(near), o)
			wantKind(t, err, KindConnection)
			if d := time.Since(began); cancelled && d != 0 || !cancelled && d != o.Timeout {
				t.Errorf("cancelled: %t: after %s", cancelled, d)
			}
			cancel()
			_ = far.Close()
			<-read
		}
	})
}

// TestFrameMemory: memory follows what arrives, not what is announced.
func TestFrameMemory(t *testing.T) {
	b := binary.BigEndian.AppendUint32([]byte{byte(frameReply)}, replyBytes)
	b = append(b, make([]byte, 1000)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := readFrame(bytes.NewReader(b), frameReply)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a cut frame: %v", err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 256<<10 {
		t.Errorf("a frame of which 1000 bytes came took %d bytes", took)
	}
	if err := writeFrame(io.Discard, frameProof, make([]byte, sha256.Size+1)); err == nil {
		t.Error("a frame too long is written")
	}
}
