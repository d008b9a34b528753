//go:build clients

package clients

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/contender/contender/conformance/harness"
)

// toolTimeout bounds one run of one tool.
const toolTimeout = 10 * time.Minute

// sizes returns the tree's size: the in full runs, a tenth in `make test`.
func sizes() (large int64, small int) {
	if harness.Full() {
		return 200 << 20, 5000
	}
	return 24 << 20, 500
}

// tools runs tools, each against another node than the one before.
type tools struct {
	t     *testing.T
	env   []string
	nodes []*harness.Server
	next  int // the node that the next tool talks to
}

// onNodes runs a test on clusters: of three nodes, and in full runs of five, too.
func onNodes(t *testing.T, test func(*tools)) {
	for _, n := range []int{3, 5} {
		if n > 3 && !harness.Full() {
			continue
		}
		t.Run(fmt.Sprintf("%d nodes", n), func(t *testing.T) {
			c := harness.StartCluster(t, n, 2)
			c.WaitStatus(0, fmt.Sprintf("tolerates.node=%d", (n-1)/2), spreadMax)
			test(newTools(t, c.Nodes))
		})
	}
}

// spreadMax is how long a new cluster may take to spread over its nodes.
const spreadMax = 2 * time.Minute

// inFull leaves a test to the full runs.
func inFull(t *testing.T) {
	if !harness.Full() {
		t.Skip("in full runs only")
	}
}

// onOne runs a test on one node.
func onOne(t *testing.T, test func(*tools)) {
	s := harness.New(t, 4)
	s.Start()
	test(newTools(t, []*harness.Server{s}))
}

func newTools(t *testing.T, nodes []*harness.Server) *tools {
	t.Helper()
	env := []string{
		"HOME=" + t.TempDir(), "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "TMPDIR=" + t.TempDir(),
		"AWS_ACCESS_KEY_ID=" + harness.AccessKey, "AWS_SECRET_ACCESS_KEY=" + harness.SecretKey,
		"AWS_DEFAULT_REGION=" + harness.Region, "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=",
		"RESTIC_PASSWORD=test", "RCLONE_CONFIG_C_TYPE=s3", "RCLONE_CONFIG_C_PROVIDER=Other", "RCLONE_CONFIG_C_ENV_AUTH=true",
		"RCLONE_CONFIG_C_REGION=" + harness.Region, "RCLONE_CONFIG_C_FORCE_PATH_STYLE=true",
	}
	return &tools{t: t, env: env, nodes: nodes}
}

// endpoint returns another node's endpoint than the last time.
func (x *tools) endpoint() string {
	s := x.nodes[x.next%len(x.nodes)]
	x.next++
	return s.Endpoint
}

// kill kills a server, and returns a function after which all run. One alone is started again at once; of several it is
// one that the next tool does not talk to, and it stays away until then.
func (x *tools) kill() (back func()) {
	s := x.nodes[(x.next+len(x.nodes)-1)%len(x.nodes)]
	s.Kill()
	if len(x.nodes) > 1 {
		return func() { s.Start() }
	}
	s.Start()
	return func() {}
}

// run runs a tool and returns what it printed; the test fails if it does.
func (x *tools) run(name string, args ...string) string {
	x.t.Helper()
	out, err := x.try(name, args...)
	if err != nil {
		x.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func (x *tools) try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), toolTimeout)
	defer cancel()
	endpoint := x.endpoint()
	if name == "aws" {
		args = append([]string{"--endpoint-url", endpoint}, args...)
	}
	cmd := exec.CommandContext(ctx, "/usr/bin/"+name, args...)
	cmd.Env = append(slices.Clip(x.env), "RESTIC_REPOSITORY=s3:"+endpoint+"/restic", "RCLONE_CONFIG_C_ENDPOINT="+endpoint)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func (x *tools) aws(args ...string) string {
	x.t.Helper()
	return x.run("aws", args...)
}

func TestAWSCLISync(t *testing.T) { onOne(t, syncAWSCLI) }

func TestAWSCLISyncOnNodes(t *testing.T) { onNodes(t, syncAWSCLI) }

func syncAWSCLI(x *tools) {
	t := x.t
	src, back := t.TempDir(), t.TempDir()
	large, small := sizes()
	harness.MakeTree(t, src, large, small, 1)
	x.aws("s3", "mb", "s3://tree")
	x.aws("s3", "sync", "--no-progress", "--only-show-errors", src, "s3://tree/sub dir")
	if out := x.aws("s3", "sync", "--no-progress", src, "s3://tree/sub dir"); strings.Contains(out, "upload:") {
		t.Errorf("a second sync copied again:\n%.2000s", out)
	}
	revive := x.kill()
	x.aws("s3", "sync", "--no-progress", "--only-show-errors", "s3://tree/sub dir", back)
	revive()
	harness.SameTree(t, src, back)
	x.aws("s3", "rm", "--recursive", "--only-show-errors", "s3://tree/")
	if out := x.aws("s3", "ls", "--recursive", "s3://tree/"); strings.TrimSpace(out) != "" {
		t.Errorf("left after rm --recursive:\n%.2000s", out)
	}
	x.aws("s3", "rb", "s3://tree")
}

func TestRcloneSync(t *testing.T) { onOne(t, syncRclone) }

func TestRcloneSyncOnNodes(t *testing.T) { inFull(t); onNodes(t, syncRclone) }

func syncRclone(x *tools) {
	t := x.t
	src, back := t.TempDir(), t.TempDir()
	large, small := sizes()
	harness.MakeTree(t, src, large, small, 2)
	x.run("rclone", "mkdir", "c:rclone")
	x.run("rclone", "sync", "-v", "--checksum", src, "c:rclone/tree")
	out := x.run("rclone", "sync", "-v", "--checksum", src, "c:rclone/tree")
	if strings.Contains(out, "Copied (") || !strings.Contains(out, "There was nothing to transfer") {
		t.Errorf("the second sync was not empty:\n%.2000s", out)
	}
	x.run("rclone", "check", "--download", src, "c:rclone/tree")
	revive := x.kill()
	x.run("rclone", "sync", "c:rclone/tree", back)
	revive()
	harness.SameTree(t, src, back)
	x.run("rclone", "purge", "c:rclone/tree")
}

func TestRestic(t *testing.T) { onOne(t, backUpRestic) }

func TestResticOnNodes(t *testing.T) { inFull(t); onNodes(t, backUpRestic) }

func backUpRestic(x *tools) {
	t := x.t
	src, back := t.TempDir(), t.TempDir()
	large, small := sizes()
	harness.MakeTree(t, src, large, small, 3)
	x.run("restic", "init")
	x.run("restic", "backup", "--quiet", src)
	if err := os.WriteFile(filepath.Join(src, "second"), []byte("second backup"), 0o644); err != nil {
		t.Fatal(err)
	}
	x.run("restic", "backup", "--quiet", src)
	revive := x.kill()
	x.run("restic", "check", "--read-data")
	revive()
	x.run("restic", "forget", "--keep-last", "1", "--prune")
	x.run("restic", "check")
	x.run("restic", "restore", "latest", "--target", back)
	harness.SameTree(t, src, filepath.Join(back, src))
}
