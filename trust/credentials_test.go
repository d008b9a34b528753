package trust

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/contender/contender/disk"
)

// TestMutual: two nodes of a cluster know one another by id, on both protocols, under TLS 1.3.
func TestMutual(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	other := f.credentials(f.identity(2), nil)
	for _, protocol := range []string{ProtocolControl, ProtocolBytes} {
		for _, expect := range []NodeID{0, 1} {
			s, c, serr, cerr := shake(t, f.member.ServerTLS(), other.ClientTLS(protocol, expect))
			if serr != nil || cerr != nil {
				t.Fatalf("%s, expecting %s: %v, %v", protocol, expect, serr, cerr)
			}
			client, err1 := Peer(s)
			server, err2 := Peer(c)
			if client != 2 || server != 1 || err1 != nil || err2 != nil {
				t.Errorf("peers %s and %s: %v, %v", client, server, err1, err2)
			}
			if s.Version != tls.VersionTLS13 || s.NegotiatedProtocol != protocol {
				t.Errorf("version %x, protocol %q", s.Version, s.NegotiatedProtocol)
			}
		}
	}
}

// TestNotMutual: whoever is not a node of the cluster, now, gets nothing from the peer port.
func TestNotMutual(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	foreign := newFixture(t, disk.ClusterID{9}, 2) // another cluster
	rogue := newFixture(t, testCluster, 3)         // another authority that claims the same cluster
	show := func(id Identity) *tls.Config {
		c := noCertificate(ProtocolControl)
		c.Certificates = []tls.Certificate{certificate(id)}
		return c
	}
	expired := f.identity(3)
	expired.Certificate = must[*x509.Certificate](t)(f.authority.Issue(IssueRequest{
		Node: 3, Public: expired.Key.Public().(ed25519.PublicKey), ValidFor: time.Hour,
	}, f.rand, func() time.Time { return testStart.Add(-2 * time.Hour) }))
	early := f.identity(4)
	early.Certificate = must[*x509.Certificate](t)(f.authority.Issue(IssueRequest{
		Node: 4, Public: early.Key.Public().(ed25519.PublicKey),
	}, f.rand, func() time.Time { return testStart.Add(48 * time.Hour) }))
	authority := Identity{Certificate: f.authority.certs[0], Key: f.authority.key}
	old := noCertificate(ProtocolControl)
	old.MaxVersion = tls.VersionTLS12
	old.Certificates = []tls.Certificate{certificate(f.identity(5))}
	noALPN := show(f.identity(6))
	noALPN.NextProtos = nil
	both := show(f.identity(7))
	both.NextProtos = []string{ProtocolControl, ProtocolJoin}
	for name, client := range map[string]*tls.Config{
		"no certificate":                   noCertificate(ProtocolControl),
		"no certificate, bytes":            noCertificate(ProtocolBytes),
		"no certificate, join and control": noCertificate(ProtocolJoin, ProtocolControl),
		"join and control":                 both,
		"another cluster":                  show(foreign.identity(1)),
		"another authority":                show(rogue.identity(2)),
		"expired":                          show(expired),
		"not yet valid":                    show(early),
		"the authority itself":             show(authority),
		"TLS 1.2":                          old,
		"no protocol":                      noALPN,
		"another protocol":                 noCertificate("h2"),
	} {
		t.Run(name, func(t *testing.T) {
			s, _, serr, cerr := shake(t, f.member.ServerTLS(), client)
			if serr == nil || cerr == nil {
				t.Errorf("the server says %v, the client %v", serr, cerr)
			}
			if peer, err := Peer(s); err == nil {
				t.Errorf("the server knows its peer as %s", peer)
			}
		})
	}
}

// TestServerNotTrusted: a node turns away from a server that is not the node that it must be.
func TestServerNotTrusted(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	foreign, rogue := newFixture(t, disk.ClusterID{9}, 2), newFixture(t, testCluster, 3)
	me := f.credentials(f.identity(2), nil)
	for name, server := range map[string]*Credentials{"another cluster": foreign.member, "another authority": rogue.member} {
		open := noCertificate(ProtocolControl)
		open.Certificates = []tls.Certificate{certificate(server.Identity())}
		_, _, _, err := shake(t, open, me.ClientTLS(ProtocolControl, 0))
		if !Is(err, KindUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, _, _, err := shake(t, f.member.ServerTLS(), me.ClientTLS(ProtocolControl, 7))
	wantKind(t, err, KindUntrusted)
	if err == nil || !strings.Contains(err.Error(), NodeID(1).String()) {
		t.Errorf("%v does not say who answered", err)
	}
	// A server that speaks TLS but none of our protocols.
	open := noCertificate()
	open.Certificates = []tls.Certificate{certificate(f.member.Identity())}
	_, _, _, err = shake(t, open, me.ClientTLS(ProtocolControl, 0))
	wantKind(t, err, KindProtocol)
}

// TestAllow: a node that the list does not know is shut out by both sides, from the next handshake on.
func TestAllow(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	gone := NodeID(0)
	strict := f.credentials(f.identity(3), func(n NodeID) error {
		if n == gone {
			return errGone
		}
		return nil
	})
	two := f.credentials(f.identity(2), nil)
	server, client := strict.ServerTLS(), strict.ClientTLS(ProtocolControl, 0)
	if _, _, serr, cerr := shake(t, server, two.ClientTLS(ProtocolControl, 0)); serr != nil || cerr != nil {
		t.Fatal(serr, cerr)
	}
	gone = 2
	_, _, serr, _ := shake(t, server, two.ClientTLS(ProtocolControl, 0))
	wantKind(t, serr, KindUntrusted)
	_, _, _, cerr := shake(t, two.ServerTLS(), client)
	wantKind(t, cerr, KindUntrusted)
}

// TestNoResumption: a client that keeps sessions makes a whole handshake each time.
func TestNoResumption(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	client := noCertificate(ProtocolControl)
	client.Certificates = []tls.Certificate{certificate(f.identity(2))}
	client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	client.ServerName = "member"
	for range 2 {
		s, c, serr, cerr := shake(t, f.member.ServerTLS(), client)
		if serr != nil || cerr != nil || s.DidResume || c.DidResume {
			t.Fatalf("resumed: %t, %t; %v, %v", s.DidResume, c.DidResume, serr, cerr)
		}
	}
}

// TestRenew: an expired certificate is renewed by the node itself and taken into use under configurations that were
// handed out before.
func TestRenew(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	two := f.credentials(f.identity(2), nil)
	server, client := f.member.ServerTLS(), two.ClientTLS(ProtocolControl, 1)
	if at := two.Identity().RenewAt(); at.Before(testStart.Add(NodeValidFor/4)) || at.After(testStart.Add(NodeValidFor/2)) {
		t.Errorf("renew at %s", at)
	}
	f.clock.add(NodeValidFor + time.Hour)
	if _, _, serr, cerr := shake(t, server, client); serr == nil || !Is(cerr, KindUntrusted) {
		t.Fatalf("expired on both sides: %v, %v", serr, cerr)
	}
	for _, c := range []*Credentials{f.member, two} {
		old := c.Identity()
		fresh := must[Identity](t)(f.authority.Renew(old, nil, f.rand, f.clock.now))
		if err := c.Replace(fresh); err != nil {
			t.Fatal(err)
		}
		if fresh.Node != old.Node || !fresh.Key.Equal(old.Key) {
			t.Error("another node or key")
		}
	}
	if _, _, serr, cerr := shake(t, server, client); serr != nil || cerr != nil {
		t.Fatalf("renewed: %v, %v", serr, cerr)
	}
	wantKind(t, two.Replace(f.identity(5)), KindInvalid)
	if two.Identity().Node != 2 {
		t.Error("a refused identity is in use")
	}
}

// TestExchangeOfAuthority: the way from one authority to another, each step with nodes of the step before.
func TestExchangeOfAuthority(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	next := must[*Authority](t)(NewAuthority(testCluster, f.rand, f.clock.now))
	talk := func(step string, a, b *Credentials, ok bool) {
		t.Helper()
		for range 2 {
			_, _, serr, cerr := shake(t, a.ServerTLS(), b.ClientTLS(ProtocolControl, 0))
			if (serr == nil && cerr == nil) != ok {
				t.Errorf("%s: %v, %v", step, serr, cerr)
			}
			a, b = b, a
		}
	}
	renew := func(a *Authority, c *Credentials) *Credentials {
		t.Helper()
		id := must[Identity](t)(a.Renew(c.Identity(), nil, f.rand, f.clock.now))
		return f.credentials(id, nil)
	}
	start := [2]*Credentials{f.member, f.credentials(f.identity(2), nil)}
	oldSigns := must[*Authority](t)(f.authority.Trusting(next.Certificates()...))
	newSigns := must[*Authority](t)(next.Trusting(f.authority.Certificates()...))
	first := renew(oldSigns, start[1])
	talk("one knows both", start[0], first, true)
	both := renew(oldSigns, start[0])
	second := renew(newSigns, first)
	talk("one signed by the new", both, second, true)
	third := renew(next, second)
	talk("the old one is forgotten", renew(newSigns, both), third, true)
	talk("too early", start[0], third, false)
	if _, err := f.authority.Trusting(newFixture(t, disk.ClusterID{8}, 4).authority.Certificates()...); !Is(err, KindInvalid) {
		t.Errorf("trusting another cluster: %v", err)
	}
}

// TestHandshake: a listener learns protocol and peer, and closes what fails.
func TestHandshake(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	two := f.credentials(f.identity(2), nil)
	for _, c := range []struct {
		client   *tls.Config
		protocol string
		peer     NodeID
		ok       bool
	}{
		{two.ClientTLS(ProtocolBytes, 0), ProtocolBytes, 2, true},
		{noCertificate(ProtocolJoin), ProtocolJoin, 0, true},
		{noCertificate(ProtocolBytes), "", 0, false},
	} {
		near, far := pair(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			client := tls.Client(near, c.client)
			if client.Handshake() == nil {
				_, _ = client.Read(make([]byte, 1))
			}
		}()
		server := tls.Server(far, f.member.ServerTLS())
		protocol, peer, err := Handshake(t.Context(), server)
		if protocol != c.protocol || peer != c.peer || (err == nil) != c.ok {
			t.Errorf("%q, %s, %v; want %q, %s", protocol, peer, err, c.protocol, c.peer)
		}
		if !c.ok {
			if _, err := far.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the connection is open: %v", err)
			}
		}
		_ = near.Close()
		<-done
		_ = far.Close()
	}
}

// TestSilentClient: a client that says nothing costs its time limit and no more.
func TestSilentClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, testCluster, 1)
		near, far := net.Pipe()
		defer near.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		_, _, err := Handshake(ctx, tls.Server(far, f.member.ServerTLS()))
		wantKind(t, err, KindConnection)
		if d := time.Since(began); d != 3*time.Second {
			t.Errorf("after %s", d)
		}
	})
}

// TestHTTP: HTTP/1.1 goes over the protocol for bytes, and the handler can tell who asks.
func TestHTTP(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	srv := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := Peer(*r.TLS)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, r.Proto+" "+peer.String())
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(tls.NewListener(l, f.member.ServerTLS()))
	}()
	defer func() { _ = srv.Close(); <-done }()
	two := f.credentials(f.identity(2), nil)
	get := func(config *tls.Config) (string, error) {
		tr := &http.Transport{TLSClientConfig: config}
		defer tr.CloseIdleConnections()
		rep, err := (&http.Client{Transport: tr}).Get("https://" + l.Addr().String() + "/shard")
		if err != nil {
			return "", err
		}
		defer rep.Body.Close()
		b, err := io.ReadAll(rep.Body)
		return string(b), err
	}
	if got, err := get(two.ClientTLS(ProtocolBytes, 1)); err != nil || got != "HTTP/1.1 "+NodeID(2).String() {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := get(noCertificate(ProtocolBytes)); err == nil {
		t.Errorf("without a certificate: %q", got)
	}
	// Should somebody hand a joiner's connection to HTTP by mistake, there is no peer.
	if got, err := get(noCertificate(ProtocolJoin)); err == nil && !strings.Contains(got, "not trusted") {
		t.Errorf("a joiner: %q", got)
	}
}

// TestNames: a certificate of the right authority with any other name is nobody's.
func TestNames(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	id := f.identity(2)
	good := nodeName(testCluster, 2).String()
	for _, uris := range [][]string{
		{},
		{good, nodeName(testCluster, 3).String()},
		{"contender://" + testCluster.String() + "/authority"},
		{"contender://" + testCluster.String() + "/node/0000000000000000"},
		{"contender://" + testCluster.String() + "/node/2"},
		{good + "/x"},
		{good + "?x"},
		{good + "#x"},
		{strings.Replace(good, "contender:", "spiffe:", 1)},
		{strings.Replace(good, testCluster.String(), "x@"+testCluster.String(), 1)},
		{strings.Replace(good, testCluster.String(), testCluster.String()+":1", 1)},
		{"contender://" + strings.ToUpper(disk.ClusterID{0xab}.String()) + "/node/0000000000000002"},
		{nodeName(disk.ClusterID{9}, 2).String()},
	} {
		c := &x509.Certificate{
			SerialNumber: big.NewInt(1), NotBefore: testStart.Add(-time.Hour), NotAfter: testStart.Add(time.Hour),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}
		for _, u := range uris {
			c.URIs = append(c.URIs, must[*url.URL](t)(url.Parse(u)))
		}
		der := must[[]byte](t)(x509.CreateCertificate(f.rand, c, f.authority.certs[0], id.Key.Public(), f.authority.key))
		client := noCertificate(ProtocolControl)
		client.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: id.Key}}
		if _, _, err, _ := shake(t, f.member.ServerTLS(), client); !Is(err, KindUntrusted) {
			t.Errorf("%q: %v", uris, err)
		}
	}
}
