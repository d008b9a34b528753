package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/trust"
)

// authorityFile keeps a new cluster's authority, readable for its owner alone, until the system range has it.
const authorityFile = "cluster-authority"

// makeTrust makes the cluster's authority and this node's identity, and writes both into the node's folders. The node is
// who the applicant says.
func (n *Node) makeTrust(cluster disk.ClusterID, who trust.Applicant) error {
	a, err := trust.NewAuthority(cluster, n.env.Rand, n.env.Clock)
	if err != nil {
		return err
	}
	text, err := a.Encode()
	if err != nil {
		return err
	}
	for _, dir := range n.dirs() {
		if err := writeFile(n.env.FS, dir, authorityFile, string(text)); err != nil {
			return err
		}
	}
	id, err := a.Identity(who, n.hosts(), n.env.Rand, n.env.Clock)
	if err != nil {
		return err
	}
	return n.setIdentity(id)
}

// hosts are the names that the node's certificate carries for tools that look at them.
func (n *Node) hosts() []string {
	return []string{n.advertise()}
}

// setIdentity keeps an identity in every folder of the node, and takes it into use. It is called before anything runs.
func (n *Node) setIdentity(id trust.Identity) (err error) {
	if err := n.saveIdentity(id); err != nil {
		return err
	}
	n.identity = id
	n.trust, err = trust.NewCredentials(id, trust.CredentialsOptions{Clock: n.env.Clock})
	return err
}

func (n *Node) saveIdentity(id trust.Identity) error {
	for _, dir := range n.dirs() {
		if err := id.Save(n.env.FS, dir); err != nil {
			return err
		}
	}
	return nil
}

// loadIdentity finds the node's identity in one of its folders. A cluster of one node that was founded before there were
// identities gets them now.
func (n *Node) loadIdentity(cluster disk.ClusterID) error {
	var errs []error
	for _, dir := range n.legible() {
		id, err := trust.Load(n.env.FS, dir)
		switch {
		case err == nil && id.Cluster == cluster:
			return n.setIdentity(id)
		case err == nil:
			err = fmt.Errorf("the node identity in %s is of cluster %s", dir, id.Cluster)
		}
		errs = append(errs, err)
	}
	m := n.topology.Map()
	if len(m.Nodes) != 1 || m.Nodes[0].Key != nil {
		return fmt.Errorf("no folder of this node holds its identity: %w", errors.Join(errs...))
	}
	who, err := trust.NewApplicant(n.env.Rand)
	if err != nil {
		return err
	}
	who.Node = trust.NodeID(m.Nodes[0].ID)
	return n.makeTrust(cluster, who)
}

// self is the node's id.
func (n *Node) self() clustermap.NodeID { return clustermap.NodeID(n.identity.Node) }

// publicKey is what the cluster map knows this node by.
func (n *Node) publicKey() []byte { return n.identity.Key.Public().(ed25519.PublicKey) }

// authority reads the cluster's authority.
func (n *Node) authority(ctx context.Context) (*trust.Authority, error) {
	r, err := n.getSystem(ctx, metashards.RecordAuthority)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, errors.New("the cluster has no authority yet")
	}
	return trust.DecodeAuthority(r.Value)
}

// settleAuthority brings the authority that was made at founding into the system range; then no folder needs it.
func (n *Node) settleAuthority(ctx context.Context) error {
	r, err := n.getSystem(ctx, metashards.RecordAuthority)
	if err != nil {
		return err
	}
	for _, dir := range n.dirs() {
		path := n.env.FS.PathJoin(dir, authorityFile)
		if r == nil {
			value, err := readSmall(n.env.FS, path)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if err := n.putSystem(ctx, metashards.RecordAuthority, value); err != nil {
				return err
			}
			return n.settleAuthority(ctx)
		}
		if err := n.env.FS.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			n.env.Log.Warn("the copy of the cluster's authority could not be removed", "file", path, "error", err)
		}
	}
	if r == nil {
		return errors.New("the cluster has no authority, and no folder of this node holds one")
	}
	return nil
}

// renewIdentity exchanges the node's certificate for a new one when its time has come.
func (n *Node) renewIdentity(ctx context.Context) error {
	if n.env.Clock().Before(n.trust.Identity().RenewAt()) {
		return nil
	}
	a, err := n.authority(ctx)
	if err != nil {
		return err
	}
	id, err := a.Renew(n.trust.Identity(), n.hosts(), n.env.Rand, n.env.Clock)
	if err != nil {
		return err
	}
	n.env.Log.Info("the node's certificate is renewed", "until", id.Certificate.NotAfter)
	if err := n.saveIdentity(id); err != nil {
		return err
	}
	return n.trust.Replace(id)
}

// smallBytesMax bounds what is read of a small file.
const smallBytesMax = 1 << 20

func readSmall(fs vfs.FS, path string) (b []byte, err error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(io.LimitReader(f, smallBytesMax))
}
