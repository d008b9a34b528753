package node

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/trust"
)

// wishes is what a joiner tells about itself, in JSON.
type wishes struct {
	Name string `json:"name"`
	S3   string `json:"s3"`
	Peer string `json:"peer"`
	Site string `json:"site,omitempty"`
	Rack string `json:"rack,omitempty"`
	// FrontEnd: it has no disk and no peer service, and the map does not list it.
	FrontEnd bool `json:"front_end,omitempty"`
}

// welcome is what a joiner is given besides its certificate, in JSON. The root key it reads itself, as a member.
type welcome struct {
	Map json.RawMessage `json:"map"`
}

// nameBytesMax bounds the names that a joiner may bring.
const nameBytesMax = 255

func (w *wishes) check() error {
	for what, s := range map[string]string{"name": w.Name, "S3 address": w.S3, "peer address": w.Peer} {
		if s == "" && (what != "peer address" || !w.FrontEnd) {
			return fmt.Errorf("no %s", what)
		}
	}
	for _, s := range []string{w.Name, w.S3, w.Peer, w.Site, w.Rack} {
		if len(s) > nameBytesMax || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("%q is too long, or has control characters", s)
		}
	}
	return nil
}

// joinOptions says how this node serves joiners.
func (n *Node) joinOptions(limit *trust.JoinLimit) trust.ServeOptions {
	return trust.ServeOptions{
		Cluster: n.identity.Cluster, Authority: n.authority, Secret: n.cfg.Secret, Tokens: tokens{n}, Clock: n.env.Clock,
		Rand: n.env.Rand, Admit: n.admit, Limit: limit,
	}
}

// admit makes a joiner that has proven that it knows the secret, or a token, a node of the cluster, or one of its front-ends.
func (n *Node) admit(ctx context.Context, a trust.Admission) ([]byte, error) {
	var w wishes
	if err := json.Unmarshal(a.Wishes, &w); err != nil {
		return nil, &trust.Refusal{Kind: trust.KindRefused, Reason: "what the joiner says about itself cannot be read"}
	}
	if err := w.check(); err != nil {
		return nil, &trust.Refusal{Kind: trust.KindRefused, Reason: err.Error()}
	}
	if a.Token != (trust.TokenID{}) {
		if err := n.spend(ctx, a.Token, a.Node); err != nil {
			return nil, err
		}
	}
	joiner := clustermap.Node{
		ID: clustermap.NodeID(a.Node), Name: w.Name, S3: w.S3, Peer: w.Peer, Site: w.Site, Rack: w.Rack, Key: bytes.Clone(a.Public),
	}
	if err := n.changeMap(ctx, func(m *clustermap.Map) (bool, error) {
		if w.FrontEnd {
			return false, notOfNode(m, joiner.ID)
		}
		return putNode(m, joiner, n.isAway)
	}); err != nil {
		return nil, err
	}
	m, err := n.topology.Map().Marshal()
	if err != nil {
		return nil, err
	}
	return json.Marshal(welcome{Map: m})
}

// awayTime is for how long a node must have been silent before another one may join under its name.
const awayTime = 10 * time.Second

// isAway reports whether a node has not been heard of for a while.
func (n *Node) isAway(id clustermap.NodeID) bool {
	now := n.env.Clock()
	return id != n.self() && !n.peers.Reachable(id) && now.Sub(n.began) >= awayTime && now.Sub(n.peers.LastHeard(id)) >= awayTime
}

// putNode adds a node to a map, or brings what it says of itself up to date. The id of another node is refused, and its name
// unless it is away: then the new one replaces it.
func putNode(m *clustermap.Map, x clustermap.Node, away func(clustermap.NodeID) bool) (changed bool, err error) {
	for i := range m.Nodes {
		k := &m.Nodes[i]
		switch {
		case k.ReplacedBy != 0 && k.ID != x.ID:
		case k.ID != x.ID && k.Name == x.Name && away(k.ID):
			k.ReplacedBy, changed = x.ID, true
		case k.ID != x.ID && k.Name == x.Name:
			return false, &trust.Refusal{Kind: trust.KindRefused, Reason: fmt.Sprintf("the name %q is taken by node %s at %s: give another by --name, or, if that one is lost, stop it and try again after %v", x.Name, k.ID, k.Peer, awayTime)}
		case k.ID == x.ID && k.Key != nil && !bytes.Equal(k.Key, x.Key):
			return false, &trust.Refusal{Kind: trust.KindRefused, Reason: fmt.Sprintf("node %s has another key", x.ID)}
		}
	}
	i, found := slices.BinarySearchFunc(m.Nodes, x.ID, func(k clustermap.Node, id clustermap.NodeID) int { return cmp.Compare(k.ID, id) })
	if !found {
		m.Nodes = slices.Insert(m.Nodes, i, x)
		return true, nil
	}
	k := m.Nodes[i]
	x.Maintenance = k.Maintenance // an operator's word, not the node's
	same := k.Name == x.Name && k.S3 == x.S3 && k.Peer == x.Peer && k.Site == x.Site && k.Rack == x.Rack && k.ReplacedBy == x.ReplacedBy && bytes.Equal(k.Key, x.Key)
	m.Nodes[i] = x
	return changed || !same, nil
}

// notOfNode refuses a front-end that asks to be known by the id of a node.
func notOfNode(m *clustermap.Map, id clustermap.NodeID) error {
	if m.Node(id) != nil {
		return &trust.Refusal{Kind: trust.KindRefused, Reason: fmt.Sprintf("%s is the id of a node", id)}
	}
	return nil
}

// tokenUse is the system record of a join token: what package trust keeps of it, and who has used it.
type tokenUse struct {
	Record []byte   `json:"record"`
	Used   []string `json:"used,omitempty"` // ids of nodes
}

// tokens finds join tokens in the system range.
type tokens struct{ n *Node }

// Find implements trust.Tokens.
func (t tokens) Find(ctx context.Context, id trust.TokenID) (trust.TokenRecord, bool, error) {
	u, _, err := t.n.readToken(ctx, id)
	if err != nil || u == nil {
		return trust.TokenRecord{}, false, err
	}
	r, err := trust.DecodeTokenRecord(u.Record)
	return r, err == nil, err
}

func (n *Node) readToken(ctx context.Context, id trust.TokenID) (*tokenUse, uint64, error) {
	rec, err := n.getSystem(ctx, metashards.RecordToken+id.String())
	if err != nil || rec == nil {
		return nil, 0, err
	}
	u := new(tokenUse)
	if err := json.Unmarshal(rec.Value, u); err != nil {
		return nil, 0, fmt.Errorf("record of token %s: %w", id, err)
	}
	return u, rec.Revision, nil
}

// spend counts the use of a token by a node, once however often the node asks. It comes before the node is in the map: a
// crash in between costs nothing, since the joiner asks again as the same node.
func (n *Node) spend(ctx context.Context, id trust.TokenID, node trust.NodeID) error {
	for {
		u, revision, err := n.readToken(ctx, id)
		if err != nil {
			return err
		}
		if u == nil {
			return &trust.Refusal{Kind: trust.KindExpired, Reason: "the token is gone"}
		}
		r, err := trust.DecodeTokenRecord(u.Record)
		if err != nil {
			return err
		}
		switch {
		case slices.Contains(u.Used, node.String()):
			return nil
		case r.Uses != trust.UsesUnlimited && len(u.Used) >= r.Uses:
			return &trust.Refusal{Kind: trust.KindSpent, Reason: "the token has been used as often as it may"}
		}
		u.Used = append(u.Used, node.String())
		value, err := json.Marshal(u)
		if err != nil {
			return err
		}
		won, err := n.putSystemAt(ctx, metashards.RecordToken+id.String(), value, revision)
		if err != nil || won {
			return err
		}
	}
}

// Bounds of tokens that operators make.
const (
	tokenLifeMax = 30 * 24 * time.Hour
	tokenUsesMax = 1000
)

// NewToken makes a token with which so many nodes may join until it expires, and returns its text. It implements
// admin.Tokens.
func (n *Node) NewToken(ctx context.Context, expires time.Duration, uses int) (string, time.Time, error) {
	if expires <= 0 || expires > tokenLifeMax || uses < 1 || uses > tokenUsesMax {
		return "", time.Time{}, fmt.Errorf("want a life of up to %v and 1 to %d uses", tokenLifeMax, tokenUsesMax)
	}
	a, err := n.authority(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	t, r, err := trust.NewToken(a, n.env.Clock().Add(expires), uses, n.env.Rand)
	if err != nil {
		return "", time.Time{}, err
	}
	record, err := r.Encode()
	if err != nil {
		return "", time.Time{}, err
	}
	value, err := json.Marshal(tokenUse{Record: record})
	if err != nil {
		return "", time.Time{}, err
	}
	won, err := n.putSystemAt(ctx, metashards.RecordToken+t.ID().String(), value, 0)
	if err == nil && !won {
		err = errors.New("a token of this id is there already")
	}
	return t.Text(), t.Expires(), err
}
