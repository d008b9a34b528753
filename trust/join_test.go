package trust

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/contender/contender/disk"
)

// TestJoin: with the secret or a token a joiner becomes a node that the others know.
func TestJoin(t *testing.T) {
	for _, by := range []string{"secret", "token"} {
		t.Run(by, func(t *testing.T) {
			f := newFixture(t, testCluster, 1)
			o := f.joinOptions()
			var token TokenID
			if by == "secret" {
				o.Secret = f.secret(" " + testSecret + "\n")
			} else {
				made := f.token(time.Hour)
				o.Token = must[Token](t)(ParseToken(made.Text()))
				token = made.ID()
			}
			id, payload, jerr, serr := f.join(f.serveOptions(), o)
			if jerr != nil || serr != nil {
				t.Fatal(jerr, serr)
			}
			if id.Cluster != testCluster || id.Node != o.Applicant.Node || string(payload) != "the map" {
				t.Errorf("%s got %q", id, payload)
			}
			as := f.admissions()
			if len(as) != 1 {
				t.Fatalf("%d admissions", len(as))
			}
			a := as[0]
			if a.Node != id.Node || !a.Public.Equal(id.Key.Public()) || string(a.Wishes) != "four disks" || len(a.Hosts) != 1 || a.Token != token {
				t.Errorf("admitted %+v", a)
			}
			joined := f.credentials(id, nil)
			for range 2 {
				if _, _, serr, cerr := shake(t, f.member.ServerTLS(), joined.ClientTLS(ProtocolControl, 1)); serr != nil || cerr != nil {
					t.Error(serr, cerr)
				}
			}
			// It can come again as the same node, for example when its certificate has expired.
			f.clock.add(NodeValidFor + time.Hour)
			if by == "token" {
				o.Token = f.token(time.Hour)
			}
			fresh := must[Identity](t)(f.authority.Renew(f.member.Identity(), nil, f.rand, f.clock.now))
			if err := f.member.Replace(fresh); err != nil {
				t.Fatal(err)
			}
			o.Applicant = id.Applicant()
			again, _, jerr, serr := f.join(f.serveOptions(), o)
			if jerr != nil || serr != nil || again.Node != id.Node || again.RenewAt().Equal(id.RenewAt()) {
				t.Errorf("again: %s, %v, %v", again, jerr, serr)
			}
		})
	}
}

// TestJoinOverTCP: a payload larger than the buffers arrives whole although the member closes at once.
func TestJoinOverTCP(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	want := bytes.Repeat([]byte("map"), 3<<20)
	f.admit = func(Admission) ([]byte, error) { return want, nil }
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		conn := tls.Server(c, f.member.ServerTLS())
		protocol, _, err := Handshake(t.Context(), conn)
		if err != nil || protocol != ProtocolJoin {
			done <- errors.Join(err, errors.New(protocol))
			return
		}
		done <- ServeJoin(t.Context(), conn, f.serveOptions())
	}()
	o := f.joinOptions()
	o.Secret = f.secret(testSecret)
	_, payload, err := Join(t.Context(), func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}, o)
	if serr := <-done; err != nil || serr != nil || !bytes.Equal(payload, want) {
		t.Errorf("%d bytes, %v, %v", len(payload), err, serr)
	}
}

// TestJoinDenied: whoever does not know the secret, or brings a token that does not count, gets nothing; a stranger sees
// no difference between the reasons.
func TestJoinDenied(t *testing.T) {
	other := newFixture(t, disk.ClusterID{9}, 2)
	twin := newFixture(t, testCluster, 3)
	for name, c := range map[string]struct {
		bring func(f *fixture, s *ServeOptions, o *JoinOptions)
		want  Kind // at the joiner
		serve Kind // in the member's log
	}{
		"wrong secret": {func(f *fixture, _ *ServeOptions, o *JoinOptions) {
			o.Secret = f.secret(strings.Replace(testSecret, "b", "c", 1))
		}, KindDenied, KindDenied},
		"the cluster has no secret": {func(f *fixture, s *ServeOptions, o *JoinOptions) {
			o.Secret, s.Secret = f.secret(testSecret), Secret{}
		}, KindDenied, KindDenied},
		"the cluster has no tokens": {func(f *fixture, s *ServeOptions, o *JoinOptions) {
			o.Token, s.Tokens = f.token(time.Hour), nil
		}, KindDenied, KindDenied},
		"unknown token": {func(f *fixture, _ *ServeOptions, o *JoinOptions) {
			o.Token = f.token(time.Hour)
			delete(f.tokens, o.Token.ID())
		}, KindDenied, KindDenied},
		"known token, wrong secret in it": {func(f *fixture, _ *ServeOptions, o *JoinOptions) {
			o.Token = f.token(time.Hour)
			o.Token.secret[0]++
		}, KindDenied, KindDenied},
		"expired token, wrong secret in it": {func(f *fixture, _ *ServeOptions, o *JoinOptions) {
			o.Token = f.token(time.Hour)
			f.clock.add(2 * time.Hour)
			o.Token.secret[0]++
			o.Clock = func() time.Time { return testStart }
		}, KindDenied, KindDenied},
		"a record that answers for another token": {func(f *fixture, _ *ServeOptions, o *JoinOptions) {
			o.Token = f.token(time.Hour)
			r := f.tokens[o.Token.ID()]
			r.ID[0]++
			f.tokens[o.Token.ID()] = r
		}, KindDenied, KindDenied},
		"expired by the joiner's clock": {func(f *fixture, _ *ServeOptions, o *JoinOptions) {
			o.Token = f.token(time.Hour)
			f.clock.add(time.Hour)
		}, KindExpired, KindConnection},
		"expired by the member's clock": {func(f *fixture, _ *ServeOptions, o *JoinOptions) {
			o.Token = f.token(time.Hour)
			f.clock.add(time.Hour)
			o.Clock = func() time.Time { return testStart }
		}, KindExpired, KindExpired},
		"token of another cluster": {func(f *fixture, _ *ServeOptions, o *JoinOptions) {
			o.Token = other.token(time.Hour)
		}, KindUntrusted, KindConnection},
		"token of another authority for the same cluster": {func(f *fixture, _ *ServeOptions, o *JoinOptions) {
			o.Token = twin.token(time.Hour)
		}, KindUntrusted, KindConnection},
		"tokens cannot be looked up": {func(f *fixture, _ *ServeOptions, o *JoinOptions) {
			o.Token, f.findErr = f.token(time.Hour), errors.New("no quorum")
		}, KindUnavailable, KindUnavailable},
		"another cluster than the member's certificate says": {func(f *fixture, s *ServeOptions, o *JoinOptions) {
			o.Secret, s.Cluster = f.secret(testSecret), disk.ClusterID{9}
		}, KindDenied, KindDenied},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, testCluster, 1)
			s, o := f.serveOptions(), f.joinOptions()
			c.bring(f, &s, &o)
			near, done := f.serve(t.Context(), s)
			id, payload, err := Join(t.Context(), dialer(near), o)
			_ = near.Close()
			serr := <-done
			wantKind(t, err, c.want)
			wantKind(t, serr, c.serve)
			if id.Certificate != nil || payload != nil || len(f.admissions()) > 0 {
				t.Errorf("got %s, %q; admitted %v", id, payload, f.admissions())
			}
			if c.serve == KindDenied {
				if bytes := sniffDenial(t, f, s); bytes != "\x05\x00\x00\x00\x01\x01" {
					t.Errorf("a stranger is told %q", bytes)
				}
			}
		})
	}
}

// sniffDenial returns all that a member says to a hello with a random proof.
func sniffDenial(t *testing.T, f *fixture, s ServeOptions) string {
	t.Helper()
	conn, done := stranger(t, f, s)
	h := hello{claim{kind: claimSecret}, bytes.Repeat([]byte{7}, proofBytes)}
	if err := writeFrame(conn, frameHello, h.encode()); err != nil {
		t.Fatal(err)
	}
	k, body, err := readFrame(conn, frameProof, frameRefusal)
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, <-done, KindDenied)
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the member says more")
	}
	var out bytes.Buffer
	if err := writeFrame(&out, k, body); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// stranger returns a connection to a member under the protocol for joiners, its handshake made.
func stranger(t *testing.T, f *fixture, s ServeOptions) (*tls.Conn, <-chan error) {
	t.Helper()
	near, done := f.serve(t.Context(), s)
	conn := tls.Client(near, noCertificate(ProtocolJoin))
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close() })
	return conn, done
}

// TestJoinRefused: a proven joiner is told why it is not wanted, and nothing of the member's own troubles.
func TestJoinRefused(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want Kind
		text string
	}{
		"refused":      {&Refusal{Reason: "the id is taken"}, KindRefused, "the id is taken"},
		"used up":      {&Refusal{Kind: KindSpent, Reason: "one use"}, KindSpent, "one use"},
		"trouble":      {errors.New("disk 7 burns"), KindUnavailable, ""},
		"odd kind":     {&Refusal{Kind: KindStorage, Reason: "x"}, KindRefused, "x"},
		"long, broken": {&Refusal{Reason: "a\x1b[31m\xff" + strings.Repeat("x", 2*reasonMax)}, KindRefused, "a?[31m?x"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, testCluster, 1)
			f.admit = func(Admission) ([]byte, error) { return nil, c.err }
			o := f.joinOptions()
			o.Secret = f.secret(testSecret)
			id, _, err, serr := f.join(f.serveOptions(), o)
			wantKind(t, err, c.want)
			wantKind(t, serr, c.want)
			if !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "burns") || len(err.Error()) > 2*reasonMax {
				t.Errorf("the joiner reads: %v", err)
			}
			if !strings.Contains(serr.Error(), c.err.Error()) {
				t.Errorf("the log reads: %v", serr)
			}
			if id.Certificate != nil {
				t.Error("it got a certificate")
			}
		})
	}
	f := newFixture(t, testCluster, 1)
	o, s := f.joinOptions(), f.serveOptions()
	o.Secret = f.secret(testSecret)
	s.Authority = func(context.Context) (*Authority, error) { return nil, errors.New("no quorum") }
	_, _, err, serr := f.join(s, o)
	wantKind(t, err, KindUnavailable)
	wantKind(t, serr, KindUnavailable)
	s = f.serveOptions()
	s.Authority = func(context.Context) (*Authority, error) { return newFixture(t, disk.ClusterID{9}, 4).authority, nil }
	_, _, err, _ = f.join(s, o)
	wantKind(t, err, KindUnavailable)
	f.admit = func(Admission) ([]byte, error) { return make([]byte, PayloadBytesMax+1), nil }
	_, _, err, _ = f.join(f.serveOptions(), o)
	wantKind(t, err, KindUnavailable)
}

// TestJoinOptions: what cannot work is refused before a connection is made.
func TestJoinOptions(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	good := f.joinOptions()
	good.Secret = f.secret(testSecret)
	for name, change := range map[string]func(*JoinOptions){
		"neither secret nor token": func(o *JoinOptions) { o.Secret = Secret{} },
		"both":                     func(o *JoinOptions) { o.Token = f.token(time.Hour) },
		"no node":                  func(o *JoinOptions) { o.Applicant.Node = 0 },
		"no key":                   func(o *JoinOptions) { o.Applicant.Key = nil },
		"no clock":                 func(o *JoinOptions) { o.Clock = nil },
		"many wishes":              func(o *JoinOptions) { o.Wishes = make([]byte, WishesBytesMax+1) },
		"strange host":             func(o *JoinOptions) { o.Hosts = []string{"a b"} },
	} {
		o := good
		change(&o)
		_, _, err := Join(t.Context(), func(context.Context) (net.Conn, error) {
			t.Errorf("%s: dialed", name)
			return nil, errors.New("no")
		}, o)
		wantKind(t, err, KindInvalid)
	}
	_, _, err := Join(t.Context(), func(context.Context) (net.Conn, error) { return nil, errors.New("no route") }, good)
	wantKind(t, err, KindConnection)
	near, done := f.serve(t.Context(), ServeOptions{})
	wantKind(t, <-done, KindInvalid)
	_ = near.Close()

	// The largest join that is allowed works.
	good.Wishes = bytes.Repeat([]byte{1}, WishesBytesMax)
	good.Hosts = nil
	for range hostsMax {
		good.Hosts = append(good.Hosts, strings.Repeat("a", hostMax))
	}
	if _, _, jerr, serr := f.join(f.serveOptions(), good); jerr != nil || serr != nil {
		t.Errorf("the largest: %v, %v", jerr, serr)
	}
}

// TestJoinWrongAnswer: a proven member whose answer does not fit is not believed.
func TestJoinWrongAnswer(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	twin, other := newFixture(t, testCluster, 3), newFixture(t, disk.ClusterID{9}, 2)
	for name, c := range map[string]struct {
		change func(o JoinOptions, r *reply)
		want   Kind
	}{
		"as it must be":    {func(JoinOptions, *reply) {}, KindInvalid},
		"another node":     {func(_ JoinOptions, r *reply) { r.certificate = f.identity(7).Certificate }, KindUntrusted},
		"another cluster":  {func(_ JoinOptions, r *reply) { r.authorities = other.authority.certs }, KindUntrusted},
		"of another maker": {func(_ JoinOptions, r *reply) { r.authorities = twin.authority.certs }, KindUntrusted},
		"all of another maker": {func(o JoinOptions, r *reply) {
			id := must[Identity](t)(twin.authority.Identity(o.Applicant, nil, f.rand, f.clock.now))
			r.certificate, r.authorities = id.Certificate, id.Authorities
		}, KindUntrusted},
		"expired": {func(o JoinOptions, r *reply) {
			r.certificate, _ = f.authority.Issue(IssueRequest{
				Node: o.Applicant.Node, Public: o.Applicant.Key.Public().(ed25519.PublicKey), ValidFor: time.Minute,
			}, f.rand, func() time.Time { return testStart.Add(-time.Hour) })
		}, KindUntrusted},
	} {
		t.Run(name, func(t *testing.T) {
			o := f.joinOptions()
			o.Secret = f.secret(testSecret)
			near, far := pair(t)
			done := make(chan error, 1)
			go func() {
				defer far.Close()
				conn := tls.Server(far, f.member.ServerTLS())
				done <- func() error {
					cl, err := meet(t.Context(), conn, f.serveOptions())
					if err != nil {
						return err
					}
					if _, _, err = readFrame(conn, frameRequest); err != nil {
						return err
					}
					id, err := f.authority.Identity(o.Applicant, nil, f.rand, f.clock.now)
					if err != nil || cl.kind != claimSecret {
						return errors.Join(err, errors.New("claim"))
					}
					r := reply{certificate: id.Certificate, authorities: id.Authorities}
					c.change(o, &r)
					return writeFrame(conn, frameReply, r.encode())
				}()
			}()
			id, _, err := Join(t.Context(), dialer(near), o)
			if serr := <-done; serr != nil {
				t.Fatal(serr)
			}
			if c.want == KindInvalid {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantKind(t, err, c.want)
			if id.Certificate != nil {
				t.Error("the identity is used")
			}
		})
	}
}
