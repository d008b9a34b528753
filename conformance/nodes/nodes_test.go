//go:build nodes

package nodes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/contender/contender/conformance/harness"
)

const bucket = "nodes"

// Bounds of what a cluster does by itself, on a machine that does other things too.
const (
	spreadMax = 2 * time.Minute // until a new cluster has spread over its nodes
	healMax   = 2 * time.Minute // until nodes that were away have caught up
)

// start runs a cluster of nodes with two folders each, and waits until it survives the loss of so many of them.
func start(t *testing.T, nodes, losses int, args ...string) *harness.Cluster {
	t.Helper()
	c := harness.StartCluster(t, nodes, 2, args...)
	c.WaitStatus(0, fmt.Sprintf("tolerates.node=%d", losses), spreadMax)
	return c
}

// clients returns a client for each node.
func clients(c *harness.Cluster) (list []*s3.Client) {
	for _, e := range c.Endpoints() {
		list = append(list, harness.Client(e))
	}
	return list
}

// check reads an object and compares it with what was written.
func check(ctx context.Context, c *s3.Client, key string, size int) error {
	b, err := harness.Get(ctx, c, bucket, key)
	if err != nil {
		return fmt.Errorf("get %s: %w", key, err)
	}
	if !bytes.Equal(b, harness.Body(key, size)) {
		return fmt.Errorf("get %s: %d bytes that are not those written", key, len(b))
	}
	return nil
}

// await waits until a condition holds.
func await(t *testing.T, what string, timeout time.Duration, holds func() bool) {
	t.Helper()
	deadline := time.After(timeout)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("not in %v: %s", timeout, what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// exitCode runs a program and returns its exit code and what it printed. One that does not end by itself in time fails
// the test.
func exitCode(t *testing.T, timeout time.Duration, args []string, env ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	cmd := harness.New(t, 0).Command(ctx, args...)
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Errorf("did not end in %v: %v\n%s", timeout, args, out)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}
