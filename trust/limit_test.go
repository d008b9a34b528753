package trust

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestJoinLimitConnections: a connection above the limit is closed unheard; as soon as one ends there is a place again.
func TestJoinLimitConnections(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	s := f.serveOptions()
	s.Limit = NewJoinLimit(2, 1)
	first, done1 := stranger(t, f, s)
	second, done2 := stranger(t, f, s)
	o := f.joinOptions()
	o.Secret = f.secret(testSecret)
	_, _, err, serr := f.join(s, o)
	wantKind(t, err, KindConnection)
	wantKind(t, serr, KindUnavailable)
	_ = first.NetConn().Close()
	<-done1
	if _, _, err, serr = f.join(s, o); err != nil || serr != nil {
		t.Errorf("with a free place: %v, %v", err, serr)
	}
	_ = second.NetConn().Close()
	<-done2
}

// TestJoinLimitAdmissions: proven joiners are admitted so many at a time, and do not wait for ever.
func TestJoinLimitAdmissions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, testCluster, 1)
		s := f.serveOptions()
		s.Limit = NewJoinLimit(8, 1)
		hold, entered := make(chan struct{}), make(chan NodeID, 8)
		s.Admit = func(_ context.Context, a Admission) ([]byte, error) {
			entered <- a.Node
			<-hold
			return nil, nil
		}
		join := func(timeout time.Duration) <-chan error {
			o := f.joinOptions()
			o.Secret, o.Timeout = f.secret(testSecret), timeout
			near, far := net.Pipe()
			f.serveOn(t.Context(), far, s)
			done := make(chan error, 1)
			go func() {
				_, _, err := Join(t.Context(), dialer(near), o)
				done <- err
			}()
			return done
		}
		first := join(JoinTimeout)
		synctest.Wait()
		impatient, patient := join(2*time.Second), join(JoinTimeout)
		synctest.Wait()
		if len(entered) != 1 {
			t.Errorf("%d are admitted at once", len(entered))
		}
		wantKind(t, <-impatient, KindConnection)
		close(hold)
		if err1, err2 := <-first, <-patient; err1 != nil || err2 != nil {
			t.Errorf("%v, %v", err1, err2)
		}
	})
}

// TestHandshakeLimit: a listener that gives no time limit has one.
func TestHandshakeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, testCluster, 1)
		near, far := net.Pipe()
		defer near.Close()
		began := time.Now()
		_, _, err := Handshake(t.Context(), tls.Server(far, f.member.ServerTLS()))
		wantKind(t, err, KindConnection)
		if d := time.Since(began); d != StrangerTimeout {
			t.Errorf("after %s", d)
		}
	})
}
