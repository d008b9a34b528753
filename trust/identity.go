package trust

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk"
)

// Applicant is what a node is before it has a certificate: its id and its key, drawn by itself. A joiner whose answer
// was lost asks again as the same applicant, so that it is admitted once.
type Applicant struct {
	Node NodeID
	Key  ed25519.PrivateKey `json:"-"`
}

// NewApplicant draws a node id and a key.
func NewApplicant(random io.Reader) (Applicant, error) {
	var id [8]byte
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return Applicant{}, fail("draw node id", KindInvalid, "%w", err)
	}
	key, err := newKey(random)
	if err != nil {
		return Applicant{}, fail("draw node key", KindInvalid, "%w", err)
	}
	return Applicant{Node: max(1, NodeID(binary.BigEndian.Uint64(id[:]))), Key: key}, nil
}

// String names the applicant without its key.
func (a Applicant) String() string { return "applicant " + a.Node.String() }

// GoString is String: the key is never printed.
func (a Applicant) GoString() string { return a.String() }

// LogValue is String: the key is never logged.
func (a Applicant) LogValue() slog.Value { return slog.StringValue(a.String()) }

// Identity is what a node of a cluster is known by: its key and the certificate that goes with it, and whom it trusts.
type Identity struct {
	Cluster     disk.ClusterID
	Node        NodeID
	Key         ed25519.PrivateKey `json:"-"`
	Certificate *x509.Certificate
	Authorities []*x509.Certificate // of the cluster; the one that made the certificate is among them
}

// Applicant returns the node's id and key, to join again or to renew.
func (i Identity) Applicant() Applicant { return Applicant{Node: i.Node, Key: i.Key} }

// RenewAt returns when the certificate should be renewed: when a third of its time is over. So a node that was up
// lately can be away for more than three years.
func (i Identity) RenewAt() time.Time {
	c := i.Certificate
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 3)
}

// String names the node without its key.
func (i Identity) String() string {
	return "node " + i.Node.String() + " of cluster " + i.Cluster.String()
}

// GoString is String: the key is never printed.
func (i Identity) GoString() string { return i.String() }

// LogValue is String: the key is never logged.
func (i Identity) LogValue() slog.Value { return slog.StringValue(i.String()) }

// check reports what in an identity does not fit together. Times are not looked at.
func (i Identity) check() error {
	if i.Certificate == nil || !owns(i.Key, i.Certificate) {
		return errors.New("the key is not the certificate's")
	}
	cluster, node, err := parseNode(i.Certificate)
	if err != nil {
		return err
	}
	if cluster != i.Cluster || node != i.Node || node == 0 {
		return fmt.Errorf("the certificate names node %s of cluster %s", node, cluster)
	}
	if err := checkAuthorities(i.Authorities); err != nil {
		return err
	}
	if of, err := parseAuthority(i.Authorities[0]); err != nil || of != cluster {
		return errors.New("the authorities are of another cluster")
	}
	if issuer(i.Certificate, i.Authorities) == nil {
		return errors.New("no authority of the cluster made the certificate")
	}
	return nil
}

// issuer returns the authority that made a certificate.
func issuer(c *x509.Certificate, authorities []*x509.Certificate) *x509.Certificate {
	for _, a := range authorities {
		if c.CheckSignatureFrom(a) == nil {
			return a
		}
	}
	return nil
}

// The files of this package in a folder.
const (
	identityFile  = "node-identity"
	applicantFile = "node-applicant"
	tempSuffix    = ".tmp"
)

type identityWire struct {
	Format      int      `json:"format"`
	Node        string   `json:"node"`
	Key         []byte   `json:"key"` // seed of the Ed25519 key
	Certificate []byte   `json:"certificate,omitempty"`
	Authorities [][]byte `json:"authorities,omitempty"`
}

// Save writes the identity into a folder that exists, readable for its owner alone. When it returns nil the identity
// survives a crash; a crash before leaves what was there before.
func (i Identity) Save(fs vfs.FS, dir string) error {
	const op = "save node identity"
	if err := i.check(); err != nil {
		return fail(op, KindInvalid, "%w", err)
	}
	w := identityWire{format, i.Node.String(), i.Key.Seed(), i.Certificate.Raw, raw(i.Authorities)}
	if err := save(fs, dir, identityFile, w); err != nil {
		return fail(op, KindStorage, "%w", err)
	}
	if err := fs.Remove(fs.PathJoin(dir, applicantFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fail(op, KindStorage, "%w", err)
	}
	return nil
}

// Load reads the identity of a folder. An error that is os.ErrNotExist says that there is none, KindInvalid that it is
// damaged or of a later format. An expired certificate is loaded: the node may renew it.
func Load(fs vfs.FS, dir string) (Identity, error) {
	const op = "load node identity"
	w, node, key, err := load(fs, dir, identityFile, op)
	if err != nil {
		return Identity{}, err
	}
	i := Identity{Node: node, Key: key}
	if i.Certificate, err = x509.ParseCertificate(w.Certificate); err == nil {
		i.Authorities, err = parseAuthorities(w.Authorities)
	}
	if err == nil {
		i.Cluster, _, err = parseNode(i.Certificate)
	}
	if err == nil {
		err = i.check()
	}
	if err != nil {
		return Identity{}, fail(op, KindInvalid, "%w", err)
	}
	return i, nil
}

// OpenApplicant returns the applicant of a folder that exists. If there is none yet it draws one and writes it, durably
// and readable for its owner alone, before it returns. Identity.Save removes it.
func OpenApplicant(fs vfs.FS, dir string, random io.Reader) (Applicant, error) {
	const op = "open node applicant"
	_, node, key, err := load(fs, dir, applicantFile, op)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return Applicant{Node: node, Key: key}, err
	}
	a, err := NewApplicant(random)
	if err != nil {
		return Applicant{}, err
	}
	if err := save(fs, dir, applicantFile, identityWire{Format: format, Node: a.Node.String(), Key: a.Key.Seed()}); err != nil {
		return Applicant{}, fail(op, KindStorage, "%w", err)
	}
	return a, nil
}

// save writes a file that only its owner may read: beside, synced, then in place of the old one.
func save(fs vfs.FS, dir, name string, w identityWire) error {
	b, err := seal(w)
	if err != nil {
		return err
	}
	path := fs.PathJoin(dir, name)
	temp := path + tempSuffix
	f, err := createPrivate(fs, temp)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(temp, path); err != nil {
		return err
	}
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// createPrivate creates an empty file that nobody but its owner could ever open. File systems in memory have no modes.
func createPrivate(fs vfs.FS, path string) (vfs.File, error) {
	if vfs.Root(fs) != vfs.Default {
		return fs.Create(path, vfs.WriteCategoryUnspecified)
	}
	if err := fs.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
}

func load(fs vfs.FS, dir, name, op string) (w identityWire, node NodeID, key ed25519.PrivateKey, err error) {
	f, err := fs.Open(fs.PathJoin(dir, name))
	if err != nil {
		return w, 0, nil, fail(op, KindStorage, "%w", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, recordMax+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return w, 0, nil, fail(op, KindStorage, "%w", err)
	}
	if w, node, key, err = decodeIdentityWire(b); err != nil {
		return w, 0, nil, fail(op, KindInvalid, "%s: %w", fs.PathJoin(dir, name), err)
	}
	return w, node, key, nil
}

func decodeIdentityWire(b []byte) (w identityWire, node NodeID, key ed25519.PrivateKey, err error) {
	if err := unseal(b, &w); err != nil {
		return w, 0, nil, err
	}
	id, err := disk.ParseID(w.Node)
	if err != nil || id == 0 || len(w.Key) != ed25519.SeedSize {
		return w, 0, nil, errors.New("no node or no key")
	}
	return w, NodeID(id), ed25519.NewKeyFromSeed(w.Key), nil
}
