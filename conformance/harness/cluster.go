package harness

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// Cluster is nodes that trust each other by one secret: the first founds, the others join. Its methods are for one
// goroutine.
type Cluster struct {
	Nodes  []*Server
	Secret string

	t         testing.TB
	frontEnds int
}

// NewCluster makes folders for n nodes of so many disks; Start starts them. They are killed at the end of the test.
func NewCluster(t testing.TB, n, disks int, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{t: t, Secret: NewSecret()}
	for range n {
		c.Add(disks, args...)
	}
	return c
}

// StartCluster makes nodes and starts them.
func StartCluster(t testing.TB, n, disks int, args ...string) *Cluster {
	t.Helper()
	c := NewCluster(t, n, disks, args...)
	c.Start()
	return c
}

// NewSecret draws what nodes may know each other by.
func NewSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Add makes folders for one more node; Start starts it.
func (c *Cluster) Add(disks int, args ...string) *Server {
	c.t.Helper()
	s := New(c.t, disks, args...)
	s.Name = fmt.Sprintf("node%d", len(c.Nodes)+1)
	s.Env = []string{"CONTENDER_CLUSTER_SECRET=" + c.Secret}
	c.Nodes = append(c.Nodes, s)
	return s
}

// AddFrontEnd starts a front-end of the cluster and waits until it is ready. It is killed at the end of the test.
func (c *Cluster) AddFrontEnd() *Server {
	c.t.Helper()
	s := New(c.t, 0)
	c.frontEnds++
	s.Name, s.FrontEnd, s.Join = fmt.Sprintf("front%d", c.frontEnds), true, c.Peers()
	s.Env = []string{"CONTENDER_CLUSTER_SECRET=" + c.Secret}
	s.Start()
	return s
}

// Start starts all nodes that do not run, and waits until all are ready. One alone is not ready without a majority, so
// they are all launched first; but joining needs the founder, so it comes before.
func (c *Cluster) Start() {
	c.t.Helper()
	founder := c.Nodes[0]
	if founder.Endpoint == "" {
		founder.Start()
	}
	for i, s := range c.Nodes {
		if i > 0 && s.Endpoint == "" {
			s.Join = c.Peers()
		}
	}
	var launched []*Server
	for _, s := range c.Nodes {
		if !s.Running() {
			s.Launch()
			launched = append(launched, s)
		}
	}
	for _, s := range launched {
		s.WaitReady()
	}
}

// Peers returns the peer addresses that are known.
func (c *Cluster) Peers() (list []string) {
	for _, s := range c.Nodes {
		if s.Peer != "" {
			list = append(list, s.Peer)
		}
	}
	return list
}

// Kill ends nodes with SIGKILL, all at once.
func (c *Cluster) Kill(nodes ...int) {
	for _, i := range nodes {
		if s := c.Nodes[i]; s.Running() {
			_ = s.cmd.Process.Kill()
		}
	}
	for _, i := range nodes {
		c.Nodes[i].Kill()
	}
}

// KillAll ends all nodes with SIGKILL.
func (c *Cluster) KillAll() {
	all := make([]int, len(c.Nodes))
	for i := range all {
		all[i] = i
	}
	c.Kill(all...)
}

// Endpoints returns where the nodes answer.
func (c *Cluster) Endpoints() (list []string) {
	for _, s := range c.Nodes {
		list = append(list, s.Endpoint)
	}
	return list
}

// Pids returns the process ids of the nodes that run.
func (c *Cluster) Pids() (list []string) {
	for _, s := range c.Nodes {
		if s.Running() {
			list = append(list, fmt.Sprint(s.Pid()))
		}
	}
	return list
}

// Status asks a node for the cluster's status.
func (c *Cluster) Status(node int) Status {
	c.t.Helper()
	st, err := c.Nodes[node].Status(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return st
}

// WaitStatus has a node waited for by `contender status --wait` until a condition holds, and fails the test otherwise.
func (c *Cluster) WaitStatus(node int, condition string, timeout time.Duration) {
	c.t.Helper()
	began := time.Now()
	st, err := c.Nodes[node].Status(c.t.Context(), "--wait", condition, "--timeout", timeout.String())
	if err != nil {
		st, _ = c.Nodes[node].Status(c.t.Context())
		c.t.Fatalf("%s by %s: %v; the status is %s", condition, c.Nodes[node].Name, err, st.Text)
	}
	c.t.Logf("%s by %s after %v", condition, c.Nodes[node].Name, time.Since(began).Round(time.Millisecond))
}

// Status is what tests read of a status.
type Status struct {
	Format           int
	Healthy          bool
	BytesBelowPolicy int64 `json:"bytes_below_policy"`
	Nodes            []struct {
		ID, Name, State string
		Disks           []struct{ ID, Path, State string }
	}
	FrontEnds []struct{ ID, Name, S3 string } `json:"front_ends"`
	Ranges    struct {
		UnderReplicated int `json:"under_replicated"`
	}
	Tolerates struct{ Folder, Device, Node int }

	Text string `json:"-"` // as it came
}

// Status asks the server for its status by `contender status`, with more arguments.
func (s *Server) Status(ctx context.Context, args ...string) (st Status, err error) {
	cmd := s.Command(ctx, append([]string{"status", "--json", "--endpoint", s.Endpoint}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return st, fmt.Errorf("contender status: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	st.Text = string(out)
	return st, json.Unmarshal(out, &st)
}
