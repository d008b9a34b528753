//go:build nodes

package nodes

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/contender/contender/conformance/harness"
)

// refusedMax is how long a server that is refused may take to end.
const refusedMax = 30 * time.Second

// What may be asked for at the peer port.
const (
	control = "contender-control/1"
	shards  = "http/1.1"
	joining = "contender-join/1"
)

// members returns who is in the map, as a node sees it.
func members(c *harness.Cluster) (list []string) {
	for _, n := range c.Status(0).Nodes {
		list = append(list, n.Name+" "+n.ID)
	}
	slices.Sort(list)
	return list
}

// token asks a node for a join token.
func token(t *testing.T, s *harness.Server, args ...string) string {
	t.Helper()
	cmd := s.Command(t.Context(), append([]string{"token", "--endpoint", s.Endpoint}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("token: %v: %s", err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// TestStrangersGetNothing: who does not know the secret, and has no token that counts, does not become a node, whatever
// it tries: it ends in bounded time with an error, and the map is as it was. Who has a token does.
func TestStrangersGetNothing(t *testing.T) {
	c := harness.StartCluster(t, 2, 1)
	first := c.Nodes[0]
	spent, short := token(t, first), token(t, first, "--expires", "1s")
	byToken := c.Add(1)
	byToken.Env = []string{"CONTENDER_JOIN_TOKEN=" + spent}
	c.Start()
	await(t, "the node that came with a token is in the map", healMax, func() bool { return len(members(c)) == 3 })
	// The same again is harmless: it is the same node.
	byToken.Kill()
	byToken.Start()

	other := harness.StartCluster(t, 1, 1)
	before := members(c)
	await(t, "the short token has expired", time.Minute, func() bool { return expiry(t, short).Before(time.Now()) })
	for name, env := range map[string]string{
		"no secret":                  "",
		"another secret":             "CONTENDER_CLUSTER_SECRET=" + harness.NewSecret(),
		"a spent token":              "CONTENDER_JOIN_TOKEN=" + spent,
		"an expired token":           "CONTENDER_JOIN_TOKEN=" + short,
		"an expired token, forged":   "CONTENDER_JOIN_TOKEN=" + forge(t, short),
		"a token of another cluster": "CONTENDER_JOIN_TOKEN=" + token(t, other.Nodes[0]),
		"no token":                   "CONTENDER_JOIN_TOKEN=ctoken1_abc",
		"a weak secret":              "CONTENDER_CLUSTER_SECRET=0123456789abcdef",
	} {
		t.Run(name, func(t *testing.T) {
			args := append(serverArgs(), "--name", "stranger", "--join", c.Nodes[1].Peer+","+first.Peer, t.TempDir())
			code, out := exitCode(t, refusedMax, args, env)
			if code <= 0 || strings.Contains(out, "S3 endpoint") {
				t.Errorf("exit code %d: %s", code, out)
			}
			t.Logf("exit code %d: %s", code, lastLine(out))
		})
	}
	t.Run("a node of another cluster", func(t *testing.T) {
		s := other.Nodes[0]
		s.Kill()
		s.Join, s.Env = c.Peers(), c.Nodes[0].Env
		s.Start() // its own cluster's: it does not ask
		if got := other.Status(0); len(got.Nodes) != 1 {
			t.Errorf("the other cluster has nodes %v", got.Nodes)
		}
	})
	for name, cert := range map[string]*tls.Certificate{
		"no certificate": nil, "its own certificate": selfSigned(t), "another cluster's certificate": identity(t, other.Nodes[0].Dirs[0]),
	} {
		for _, protocols := range [][]string{{control}, {shards}, {control, shards}, {}, {"h2"}, {joining, control}, {joining, shards}} {
			t.Run(fmt.Sprintf("a client with %s asks for %q", name, protocols), func(t *testing.T) { getNothing(t, first.Peer, cert, protocols) })
		}
	}
	t.Run("the same way in works for a member", func(t *testing.T) {
		if b, err := talk(first.Peer, identity(t, c.Nodes[1].Dirs[0]), []string{shards}, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 ") {
			t.Errorf("got %q, %v", b, err)
		}
	})
	if after := members(c); !slices.Equal(before, after) {
		t.Errorf("nodes %v, before the strangers came %v", after, before)
	}
}

// TestWeakSecretIsRefused: a node does not start with a secret that could be guessed, and leaves nothing behind.
func TestWeakSecretIsRefused(t *testing.T) {
	for _, secret := range []string{"secret", "0123456789abcdef0123456789abcde", strings.Repeat("ab", 40), "correct horse battery staple and some more words"} {
		dir := filepath.Join(t.TempDir(), "disk")
		code, out := exitCode(t, refusedMax, append(serverArgs(), dir), "CONTENDER_CLUSTER_SECRET="+secret)
		if code <= 0 || !strings.Contains(out, "CONTENDER_CLUSTER_SECRET") || strings.Contains(out, secret) && len(secret) > 6 {
			t.Errorf("%q: exit code %d: %s", secret, code, out)
		}
		if entries, err := os.ReadDir(dir); len(entries) > 0 {
			t.Errorf("%q: left behind: %v %v", secret, entries, err)
		}
	}
}

// serverArgs begin a server on ports that are free.
func serverArgs() []string {
	return []string{"server", "--init", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0", "--peer", "127.0.0.1:0"}
}

func lastLine(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}

// talk speaks to a peer port by TLS and returns what comes back until the other side hangs up, or for five seconds at most
// once something came.
func talk(address string, cert *tls.Certificate, protocols []string, say string) ([]byte, error) {
	plain, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	if err := plain.SetDeadline(time.Now().Add(refusedMax)); err != nil {
		return nil, err
	}
	conf := &tls.Config{InsecureSkipVerify: true, NextProtos: protocols, MinVersion: tls.VersionTLS12}
	if cert != nil {
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	conn := tls.Client(plain, conf)
	if err := conn.Handshake(); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, say); err != nil {
		return nil, err
	}
	b := make([]byte, 4096)
	n, err := conn.Read(b)
	return b[:n], err
}

// getNothing asks as a stranger does: it is hung up on in bounded time and hears nothing.
func getNothing(t *testing.T, address string, cert *tls.Certificate, protocols []string) {
	began := time.Now()
	b, err := talk(address, cert, protocols, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if len(b) > 0 || err == nil {
		t.Errorf("got %q, %v", b, err)
	}
	if took := time.Since(began); took >= refusedMax {
		t.Errorf("was not hung up on in %v: %v", took, err)
	}
}

// selfSigned makes a certificate that nobody trusts.
func selfSigned(t *testing.T) *tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

// identity reads what a node shows its peers from one of its folders.
func identity(t *testing.T, dir string) *tls.Certificate {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "node-identity"))
	if err != nil {
		t.Fatal(err)
	}
	var id struct {
		Key, Certificate []byte
		Authorities      [][]byte
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&id); err != nil { // a check sum follows
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: append([][]byte{id.Certificate}, id.Authorities...), PrivateKey: ed25519.NewKeyFromSeed(id.Key)}
}

// A token's text is a mark and, in base 32, an id, a secret, the authority's hash, when it expires and a check sum.
const tokenMark = "ctoken1_"

var tokenText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func tokenBytes(t *testing.T, text string) []byte {
	t.Helper()
	b, err := tokenText.DecodeString(strings.TrimPrefix(text, tokenMark))
	if err != nil || len(b) < 8 {
		t.Fatalf("token %q: %v", text, err)
	}
	return b
}

// expiry returns when a token expires.
func expiry(t *testing.T, text string) time.Time {
	t.Helper()
	b := tokenBytes(t, text)
	return time.Unix(int64(binary.BigEndian.Uint32(b[len(b)-8:])), 0)
}

// forge makes a token say that it expires later, so that the joiner does not notice and the member has to.
func forge(t *testing.T, text string) string {
	t.Helper()
	b := tokenBytes(t, text)
	binary.BigEndian.PutUint32(b[len(b)-8:], uint32(time.Now().Add(time.Hour).Unix()))
	sum := crc32.Checksum(append([]byte(tokenMark), b[:len(b)-4]...), crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(b[len(b)-4:], sum)
	return tokenMark + tokenText.EncodeToString(b)
}
