package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/contender/contender/disk/identity"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/metashards/mapcopy"
	"github.com/contender/contender/metashards/wire"
	"github.com/contender/contender/trust"
)

// joinPause is the time between two rounds of asking all join addresses.
const joinPause = time.Second

// join makes this node, whose folders belong to nothing yet, a node of the cluster that is reached by the join addresses.
// It asks until ctx ends, unless the cluster says no. Nothing of it counts before promote: until then a join is begun
// anew, as the same node.
func (n *Node) join(ctx context.Context) error {
	if err := n.mayAsk(); err != nil {
		return err
	}
	for _, f := range n.folders {
		if err := f.claim(&n.env); err != nil {
			return err
		}
	}
	who, err := n.applicant()
	if err != nil {
		return err
	}
	if err := n.listen(ports{}); err != nil {
		return err
	}
	self := clustermap.Node{}
	n.setAddresses(&self)
	id, m, err := n.ask(ctx, who, wishes{Name: n.cfg.Name, S3: self.S3, Peer: self.Peer, Site: n.cfg.Site, Rack: n.cfg.Rack})
	if err != nil {
		return err
	}
	if err := prepare(ctx, &n.cfg, &n.env, n.folders, id.Cluster); err != nil {
		return err
	}
	if err := n.takeDisks(); err != nil {
		return err
	}
	n.topology = mapcopy.New(m)
	if err := n.saveMap(m); err != nil {
		return err
	}
	if err := n.setIdentity(id); err != nil {
		return err
	}
	if err := n.savePorts(n.ports()); err != nil {
		return err
	}
	if err := promote(&n.env, n.folders); err != nil {
		return err
	}
	n.takeRegion(m)
	n.env.Log.Info("joined a cluster", "cluster", m.Cluster, "node", n.self(), "nodes", len(m.Nodes))
	return nil
}

// mayAsk refuses to join without anything that the cluster knows its own by.
func (n *Node) mayAsk() error {
	if n.cfg.Secret.IsZero() && n.cfg.Token.IsZero() {
		return errors.New("--join needs what the cluster knows its nodes by: CONTENDER_CLUSTER_SECRET, or a token in CONTENDER_JOIN_TOKEN (see contender token)")
	}
	return nil
}

// claim makes sure that a folder is there, is this process's, and may become a disk.
func (f *folder) claim(env *Env) error {
	if f.err != nil && !f.empty {
		return f.err
	}
	if f.lock != nil {
		return nil // left over from a joining, or a founding, that did not come to its end
	}
	if err := identity.Make(env.FS, f.dir); err != nil {
		return err
	}
	f.lock, f.err = identity.Lock(env.FS, f.dir)
	return f.err
}

// applicant is who this node asks to be admitted as: the same each time until it is.
func (n *Node) applicant() (trust.Applicant, error) {
	for _, f := range n.folders {
		if id, err := trust.Load(n.env.FS, f.dir); err == nil {
			return id.Applicant(), nil
		}
	}
	return trust.OpenApplicant(n.env.FS, n.folders[0].dir, n.env.Rand)
}

// ask asks the join addresses in turn.
func (n *Node) ask(ctx context.Context, who trust.Applicant, w wishes) (trust.Identity, *clustermap.Map, error) {
	text, err := json.Marshal(w)
	if err != nil {
		return trust.Identity{}, nil, err
	}
	o := trust.JoinOptions{Secret: n.cfg.Secret, Applicant: who, Hosts: n.hosts(), Wishes: text, Clock: n.env.Clock}
	if o.Secret.IsZero() {
		o.Token = n.cfg.Token
	}
	for {
		var errs []error
		for _, address := range n.cfg.Join {
			id, payload, err := trust.Join(ctx, func(ctx context.Context) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, dialTimeout)
				defer cancel()
				return n.env.Dial(ctx, "tcp", address)
			}, o)
			if err == nil {
				m, err := readWelcome(payload)
				return id, m, err
			}
			err = fmt.Errorf("join by %s: %w", address, err)
			if !trust.Is(err, trust.KindConnection) && !trust.Is(err, trust.KindUnavailable) {
				return trust.Identity{}, nil, err
			}
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			return trust.Identity{}, nil, errors.Join(errs...)
		}
		n.env.Log.Warn("no node of the cluster could be joined by yet", "error", errors.Join(errs...))
		wire.Wall{}.Sleep(ctx, joinPause, nil)
	}
}

func readWelcome(payload []byte) (*clustermap.Map, error) {
	var w welcome
	err := json.Unmarshal(payload, &w)
	if err != nil {
		return nil, fmt.Errorf("what the cluster gives its new nodes cannot be read: %w", err)
	}
	m, err := clustermap.Unmarshal(w.Map)
	if err == nil {
		err = m.Validate()
	}
	return m, err
}
