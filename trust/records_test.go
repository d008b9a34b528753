package trust

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
)

// TestAuthority: what an authority issues says what it must, and follows from random source and clock alone.
func TestAuthority(t *testing.T) {
	f, again := newFixture(t, testCluster, 1), newFixture(t, testCluster, 1)
	id := f.member.Identity()
	if !bytes.Equal(id.Certificate.Raw, again.member.Identity().Certificate.Raw) {
		t.Error("the same random source and clock gave another certificate")
	}
	c := id.Certificate
	if want := []string{"contender://" + testCluster.String() + "/node/0000000000000001"}; !slices.Equal(names(c), want) {
		t.Errorf("names %q, want %q", names(c), want)
	}
	if !slices.Equal(c.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}) ||
		c.KeyUsage != x509.KeyUsageDigitalSignature || c.IsCA {
		t.Errorf("usage %v %v, authority: %t", c.KeyUsage, c.ExtKeyUsage, c.IsCA)
	}
	if !c.NotBefore.Before(testStart) || !c.NotAfter.Equal(testStart.Add(NodeValidFor)) {
		t.Errorf("valid from %s to %s", c.NotBefore, c.NotAfter)
	}
	if !slices.Equal(c.DNSNames, []string{"node.example"}) || len(c.IPAddresses) != 1 {
		t.Errorf("hosts %q %v", c.DNSNames, c.IPAddresses)
	}
	if a := f.authority.certs[0]; !a.IsCA || !a.MaxPathLenZero || a.NotAfter.Sub(testStart) != AuthorityValidFor {
		t.Error("the authority's own certificate")
	}

	// A certificate never outlives its authority.
	f.clock.add(AuthorityValidFor - time.Hour)
	if late := f.identity(2).Certificate; !late.NotAfter.Equal(f.authority.certs[0].NotAfter) {
		t.Errorf("valid until %s", late.NotAfter)
	}
	f.clock.add(time.Hour)
	_, err := f.authority.Renew(id, nil, f.rand, f.clock.now)
	wantKind(t, err, KindExpired)
}

func TestIssueRefuses(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	public := f.member.Identity().Key.Public().(ed25519.PublicKey)
	for name, r := range map[string]IssueRequest{
		"no node":       {Public: public},
		"no key":        {Node: 1},
		"short key":     {Node: 1, Public: public[:31]},
		"negative time": {Node: 1, Public: public, ValidFor: -1},
		"many hosts":    {Node: 1, Public: public, Hosts: make([]string, hostsMax+1)},
		"empty host":    {Node: 1, Public: public, Hosts: []string{""}},
		"long host":     {Node: 1, Public: public, Hosts: []string{strings.Repeat("a", hostMax+1)}},
		"strange host":  {Node: 1, Public: public, Hosts: []string{"a\nb"}},
		"URL as a host": {Node: 1, Public: public, Hosts: []string{"http://a"}},
	} {
		if _, err := f.authority.Issue(r, f.rand, f.clock.now); !Is(err, KindInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewAuthority(disk.ClusterID{}, f.rand, f.clock.now); !Is(err, KindInvalid) {
		t.Errorf("no cluster: %v", err)
	}
	if _, err := NewAuthority(testCluster, strings.NewReader("short"), f.clock.now); !Is(err, KindInvalid) {
		t.Errorf("no random bytes: %v", err)
	}
	if _, err := f.authority.Renew(newFixture(t, disk.ClusterID{9}, 1).member.Identity(), nil, f.rand, f.clock.now); !Is(err, KindInvalid) {
		t.Errorf("renewing another cluster's: %v", err)
	}
}

// TestAuthorityRecord: an authority that was read back issues what its nodes trust; a damaged record is refused.
func TestAuthorityRecord(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	both := must[*Authority](t)(f.authority.Trusting(newFixture(t, testCluster, 2).authority.Certificates()...))
	for _, a := range []*Authority{f.authority, both} {
		b := must[[]byte](t)(a.Encode())
		back := must[*Authority](t)(DecodeAuthority(b))
		if back.Cluster() != testCluster || back.Hash() != a.Hash() || len(back.Certificates()) != len(a.Certificates()) {
			t.Error("another authority came back")
		}
		f.authority = back
		if _, _, serr, cerr := shake(t, f.member.ServerTLS(), f.credentials(f.identity(2), nil).ClientTLS(ProtocolControl, 1)); serr != nil || cerr != nil {
			t.Error(serr, cerr)
		}
		for i := range b {
			bad := bytes.Clone(b)
			bad[i] ^= 1
			if _, err := DecodeAuthority(bad); !Is(err, KindInvalid) {
				t.Fatalf("byte %d turned over: %v", i, err)
			}
		}
	}
	other := newFixture(t, disk.ClusterID{9}, 3).authority
	for name, w := range map[string]authorityWire{
		"later format":      {2, testCluster.String(), f.authority.key.Seed(), raw(f.authority.certs)},
		"another key":       {1, testCluster.String(), other.key.Seed(), raw(f.authority.certs)},
		"another cluster":   {1, testCluster.String(), other.key.Seed(), raw(other.certs)},
		"no certificate":    {1, testCluster.String(), f.authority.key.Seed(), nil},
		"two clusters":      {1, testCluster.String(), f.authority.key.Seed(), append(raw(f.authority.certs), raw(other.certs)...)},
		"short key":         {1, testCluster.String(), []byte{1}, raw(f.authority.certs)},
		"node as authority": {1, testCluster.String(), f.member.Identity().Key.Seed(), [][]byte{f.member.Identity().Certificate.Raw}},
	} {
		if _, err := DecodeAuthority(must[[]byte](t)(seal(w))); !Is(err, KindInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestIdentityFile: an identity survives a crash once it is saved; a crash before leaves what was there.
func TestIdentityFile(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	fs := disktest.NewFS(1)
	fs.SetPartial(func(string) bool { return true })
	if err := errors.Join(fs.MkdirAll("node", 0o755), syncDir(fs, "/")); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(fs, "node"); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("nothing saved: %v", err)
	}
	first, second := f.identity(2), f.identity(2)
	for _, id := range []Identity{first, second} {
		if err := id.Save(fs, "node"); err != nil {
			t.Fatal(err)
		}
		got := must[Identity](t)(Load(fs.Crash(nil), "node"))
		if got.Node != id.Node || got.Cluster != id.Cluster || !got.Key.Equal(id.Key) || !got.Certificate.Equal(id.Certificate) || len(got.Authorities) != 1 {
			t.Errorf("%v came back", got)
		}
	}
	// A power cut at any operation leaves the old one or the new one.
	for n := 1; ; n++ {
		faults := disktest.NewFaults(fs)
		faults.Add(disktest.Rule{Nth: n, Times: disktest.Forever, Err: errors.New("power cut"), Short: true})
		err := first.Save(faults, "node")
		got, lerr := Load(fs.Crash(nil), "node")
		if lerr != nil || !got.Certificate.Equal(first.Certificate) && !got.Certificate.Equal(second.Certificate) {
			t.Fatalf("cut at operation %d: %v, %v", n, got, lerr)
		}
		if err == nil {
			if !got.Certificate.Equal(first.Certificate) {
				t.Fatal("saved and not there")
			}
			break
		}
		wantKind(t, err, KindStorage)
	}
	bad := first
	bad.Key = f.identity(3).Key
	wantKind(t, bad.Save(fs, "node"), KindInvalid)
	if _, err := NewCredentials(bad, CredentialsOptions{Clock: f.clock.now}); !Is(err, KindInvalid) {
		t.Errorf("credentials of a foreign key: %v", err)
	}
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// TestApplicantFile: an applicant stays the same until it has an identity.
func TestApplicantFile(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	fs := disktest.NewFS(1)
	if err := errors.Join(fs.MkdirAll("node", 0o755), syncDir(fs, "/")); err != nil {
		t.Fatal(err)
	}
	a := must[Applicant](t)(OpenApplicant(fs, "node", f.rand))
	fs = fs.Crash(nil)
	b := must[Applicant](t)(OpenApplicant(fs, "node", f.rand))
	if a.Node == 0 || a.Node != b.Node || !a.Key.Equal(b.Key) {
		t.Errorf("%v, then %v", a, b)
	}
	id := must[Identity](t)(f.authority.Identity(b, nil, f.rand, f.clock.now))
	if err := id.Save(fs, "node"); err != nil {
		t.Fatal(err)
	}
	if names := must[[]string](t)(fs.List("node")); !slices.Equal(names, []string{identityFile}) {
		t.Errorf("files %q", names)
	}
	if err := fs.Corrupt("node/"+identityFile, 40, 1); err != nil {
		t.Fatal(err)
	}
	_, err := Load(fs, "node")
	wantKind(t, err, KindInvalid)
}

// TestFileMode: on a real file system the files are their owner's alone.
func TestFileMode(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	dir := t.TempDir()
	for _, fs := range []vfs.FS{vfs.Default, disktest.NewFaults(vfs.Default)} {
		_ = must[Applicant](t)(OpenApplicant(fs, dir, f.rand))
		check := func(name string) {
			t.Helper()
			info := must[os.FileInfo](t)(os.Stat(dir + "/" + name))
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v", name, info.Mode())
			}
		}
		check(applicantFile)
		if err := f.identity(2).Save(fs, dir); err != nil {
			t.Fatal(err)
		}
		check(identityFile)
	}
}

// TestNothingSecretIsPrinted: however a value is printed or logged, its key is not.
func TestNothingSecretIsPrinted(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	id := f.member.Identity()
	token := f.token(time.Hour)
	record := f.tokens[token.ID()]
	secret := f.secret(testSecret)
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	for _, v := range []any{
		id, id.Applicant(), f.authority, token, record, secret, &id, &token, &record, &secret,
		JoinOptions{Secret: secret, Token: token, Applicant: id.Applicant()},
		ServeOptions{Secret: secret},
	} {
		fmt.Fprintf(&out, "%v %+v %#v %s\n", v, v, v, v)
		log.Info("x", "v", v)
	}
	got := out.String()
	for name, hidden := range map[string][]byte{
		"node key": id.Key.Seed(), "authority key": f.authority.key.Seed(), "token secret": token.secret[:],
		"token key": record.Key[:], "secret": secret.key[:],
	} {
		for _, form := range []string{fmt.Sprintf("%x", hidden), fmt.Sprint(hidden[:8]), string(hidden), fmt.Sprintf("%#v", hidden[:4])[7:20]} {
			if strings.Contains(got, strings.Trim(form, "[]{}")) {
				t.Errorf("%s is printed as %q", name, form)
			}
		}
	}
	if strings.Contains(got, testSecret) || strings.Contains(got, token.Text()) {
		t.Error("a text is printed")
	}
}
