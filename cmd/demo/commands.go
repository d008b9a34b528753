package demo

import (
	"context"
	"fmt"
	"strconv"
	"syscall"
	"text/tabwriter"
)

const help = `kill N      end node N at once, as a crash does     start N   start it again
stop N      have node N drain and end               add       start one node more, which joins
ls          show the nodes                          quit      drain all and end; Ctrl-C does, too`

// do carries a command out, and reports whether it ends the demo.
func (d *demo) do(ctx context.Context, words []string) (quit bool) {
	if len(words) == 0 {
		return false
	}
	var m *member
	if len(words) == 2 {
		if n, err := strconv.Atoi(words[1]); err == nil && n >= 1 && n <= len(d.nodes) {
			m = d.nodes[n-1]
		}
	}
	switch {
	case m != nil && words[0] == "kill":
		d.end(m, syscall.SIGKILL)
		d.say("%s is dead", m.name())
	case m != nil && words[0] == "stop":
		d.end(m, syscall.SIGTERM)
		d.say("%s has ended", m.name())
	case m != nil && words[0] == "start":
		d.bring(ctx, m)
	case len(words) == 1 && words[0] == "add":
		d.add(ctx)
	case len(words) == 1 && words[0] == "ls":
		d.list()
	case len(words) == 1 && words[0] == "quit":
		return true
	default:
		d.say(help)
	}
	return false
}

// bring starts a node and tells what came of it.
func (d *demo) bring(ctx context.Context, m *member) {
	if err := d.start(ctx, m); err != nil {
		d.say("%v", err)
		return
	}
	d.say("%s is ready: S3 on %s, pid %d", m.name(), d.endpoint(m.number), m.process.pid)
}

func (d *demo) add(ctx context.Context) {
	if len(d.nodes) == nodesMost {
		d.say("%d nodes are the most", nodesMost)
		return
	}
	m := &member{number: len(d.nodes) + 1}
	d.mu.Lock()
	d.nodes = append(d.nodes, m)
	d.mu.Unlock()
	d.bring(ctx, m)
}

// list shows the nodes.
func (d *demo) list() {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := tabwriter.NewWriter(d.Out, 2, 4, 2, ' ', 0)
	for _, m := range d.nodes {
		state := "dead"
		if m.process.running() {
			state = fmt.Sprint("pid ", m.process.pid)
		}
		fmt.Fprintf(t, "  %s\t%s\tS3 %s\tconsole http://%s\tdata %s\n", m.name(), state, d.endpoint(m.number), d.address(m.number, 1), d.dir(m.number))
	}
	_ = t.Flush() // as any other word to the user
}

// greet tells how to go on.
func (d *demo) greet() {
	d.say("%d nodes run; what they keep is in %s and is there again the next time.\n", len(d.nodes), d.Dir)
	d.list()
	d.say("\nReady to paste in another terminal:\n  set -a; . %s; set +a", d.keysFile())
	d.say(`  export AWS_ACCESS_KEY_ID="$%s" AWS_SECRET_ACCESS_KEY="$%s" AWS_DEFAULT_REGION=us-east-1`, accessVariable, secretVariable)
	d.say("  aws --endpoint-url %s s3 mb s3://first", d.endpoint(1))
	d.say("  %s status --endpoint %s\n\n%s", d.Program, d.endpoint(1), help)
}
