package trust

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"
)

// tap keeps all bytes that pass a connection, both ways.
type tap struct {
	net.Conn
	mu  sync.Mutex
	all bytes.Buffer
}

func (c *tap) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.keep(b[:n])
	return n, err
}

func (c *tap) Write(b []byte) (int, error) {
	c.keep(b)
	return c.Conn.Write(b)
}

func (c *tap) keep(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all.Write(b)
}

// TestNothingInClear: whoever listens to a join sees neither what is secret nor what is said.
func TestNothingInClear(t *testing.T) {
	for _, by := range []string{"secret", "token"} {
		t.Run(by, func(t *testing.T) {
			f := newFixture(t, testCluster, 1)
			o, s := f.joinOptions(), f.serveOptions()
			token := f.token(time.Hour)
			key, tokenKey := s.Secret.key, token.key()
			if by == "secret" {
				o.Secret = f.secret(testSecret)
			} else {
				o.Token = token
			}
			near, done := f.serve(t.Context(), s)
			line := &tap{Conn: near}
			_, _, err := Join(t.Context(), dialer(line), o)
			if serr := <-done; err != nil || serr != nil {
				t.Fatal(err, serr)
			}
			if line.all.Len() < 1000 {
				t.Fatalf("only %d bytes were seen", line.all.Len())
			}
			for name, hidden := range map[string][]byte{
				"the secret": []byte(testSecret), "its key": key[:], "the token's secret": token.secret[:], "the token's key": tokenKey[:],
				"the token's id": token.id[:], "the wishes": o.Wishes, "the payload": []byte("the map"),
				"the joiner's key": o.Applicant.Key.Seed(), "the authority's key": f.authority.key.Seed(),
				"the authority's certificate": f.authority.certs[0].Raw,
			} {
				if bytes.Contains(line.all.Bytes(), hidden) {
					t.Errorf("%s is seen", name)
				}
			}
		})
	}
}
