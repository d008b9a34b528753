package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options say what to run.
type Options struct {
	Program string // the program to start servers with
	Dir     string // where everything lies; made if need be
	Nodes   int    // at least one; more if an earlier demo in Dir had more
	Disks   int    // folders of each new node
	Port    int    // S3 of the first node; each takes three from here on, and the next begins ten above
	Keys    Keys   // root keys; zero: those of an earlier demo in Dir, or new ones
	Rand    io.Reader
	Out     io.Writer
	// Commands are read line by line; help lists them. Their end ends nothing.
	Commands io.Reader
}

// Bounds of a demo.
const (
	nodesMost    = 100
	disksMost    = 32
	portStep     = 10
	readyTimeout = time.Minute
	readyPause   = 50 * time.Millisecond
)

// demo is a demo that runs. The commands come one at a time; what a process does by itself is told beside them.
type demo struct {
	Options
	secret string
	client http.Client

	mu    sync.Mutex // of Out, and of nodes
	nodes []*member
	works sync.WaitGroup
}

// member is one node of the demo.
type member struct {
	number  int
	process *process // nil: it was not started
	asked   bool     // its process was to end
}

func (m *member) name() string { return fmt.Sprintf("node%d", m.number) }

// Run starts the nodes, carries out commands until ctx ends or one of them says so, and drains the nodes. It returns an error if
// not all came up.
func Run(ctx context.Context, o Options) (err error) {
	d := &demo{Options: o, client: http.Client{Timeout: 5 * time.Second}}
	if err := d.prepare(); err != nil {
		return err
	}
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	defer d.drain()
	for i := range max(o.Nodes, d.earlier()) {
		d.nodes = append(d.nodes, &member{number: i + 1})
	}
	if err := d.start(ctx, d.nodes...); err != nil {
		return err
	}
	d.greet()
	lines := d.lines(ctx)
	for {
		select {
		case <-ctx.Done():
			d.say("draining")
			return nil
		case line := <-lines:
			if d.do(ctx, strings.Fields(line)) {
				quit()
			}
		}
	}
}

// prepare makes the folder and what the nodes know each other by.
func (d *demo) prepare() (err error) {
	if d.Nodes < 1 || d.Nodes > nodesMost || d.Disks < 1 || d.Disks > disksMost {
		return fmt.Errorf("want 1 to %d nodes of 1 to %d disks", nodesMost, disksMost)
	}
	if d.Port < 1 || d.Port+portStep*nodesMost > 65535 {
		return fmt.Errorf("want a port from 1 to %d", 65535-portStep*nodesMost)
	}
	if err := os.MkdirAll(d.Dir, 0o700); err != nil {
		return err
	}
	if d.secret, err = secretIn(d.Dir, d.Rand); err != nil {
		return err
	}
	d.Keys, err = keysIn(d.Dir, d.Keys, d.Rand)
	return err
}

// earlier returns how many nodes the folder has.
func (d *demo) earlier() (n int) {
	for n < nodesMost {
		if _, err := os.Stat(d.dir(n + 1)); err != nil {
			break
		}
		n++
	}
	return n
}

func (d *demo) dir(number int) string { return filepath.Join(d.Dir, fmt.Sprintf("node%d", number)) }

// address is where a node listens: for S3, and one and two above for the console and for other nodes.
func (d *demo) address(number, service int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(d.Port+portStep*(number-1)+service))
}

func (d *demo) endpoint(number int) string { return "http://" + d.address(number, 0) }

// start starts nodes and waits until they are ready. The first one ever founds the cluster; the others, as they join, need it.
func (d *demo) start(ctx context.Context, list ...*member) error {
	for _, m := range list {
		if m.process.running() {
			continue
		}
		_, err := os.Stat(d.dir(m.number))
		fresh := errors.Is(err, os.ErrNotExist)
		if err := d.launch(m, fresh); err != nil {
			return err
		}
		if fresh && m.number == 1 {
			if err := d.await(ctx, m); err != nil {
				return err
			}
		}
	}
	for _, m := range list {
		if err := d.await(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// launch starts a node's process.
func (d *demo) launch(m *member, fresh bool) error {
	dirs, err := d.folders(m.number, fresh)
	if err != nil {
		return err
	}
	args := []string{
		"server", "--name", m.name(), "--listen", d.address(m.number, 0), "--console", d.address(m.number, 1),
		"--peer", d.address(m.number, 2),
	}
	if m.number == 1 {
		args = append(args, "--init")
	} else {
		for _, o := range d.nodes {
			if o != m {
				args = append(args, "--join", d.address(o.number, 2))
			}
		}
	}
	env := append(os.Environ(), "CONTENDER_CLUSTER_SECRET="+d.secret,
		accessVariable+"="+d.Keys.Access, secretVariable+"="+d.Keys.Secret)
	p, err := startProcess(d.Program, append(args, dirs...), env, d.dir(m.number)+".log")
	if err != nil {
		return err
	}
	d.mu.Lock()
	m.process, m.asked = p, false
	d.mu.Unlock()
	d.works.Go(func() {
		<-p.ended
		d.mu.Lock()
		defer d.mu.Unlock()
		if !m.asked {
			fmt.Fprintf(d.Out, "%s has ended by itself (%v); its log is %s.log\n", m.name(), p.err, d.dir(m.number))
		}
	})
	return nil
}

// folders returns the folders of a node: those that it has, or new ones.
func (d *demo) folders(number int, fresh bool) (dirs []string, err error) {
	if fresh {
		for i := range d.Disks {
			if err := os.MkdirAll(filepath.Join(d.dir(number), fmt.Sprintf("disk%d", i+1)), 0o700); err != nil {
				return nil, err
			}
		}
	}
	return filepath.Glob(filepath.Join(d.dir(number), "disk*"))
}

// await waits until a node is ready.
func (d *demo) await(ctx context.Context, m *member) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(readyPause)
	defer tick.Stop()
	for {
		if d.ready(ctx, m.number) {
			return nil
		}
		select {
		case <-m.process.ended:
			return fmt.Errorf("%s has ended (%v); its log is %s.log", m.name(), m.process.err, d.dir(m.number))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; its log is %s.log", m.name(), ctx.Err(), d.dir(m.number))
		case <-tick.C:
		}
	}
}

// ready asks a node whether it is.
func (d *demo) ready(ctx context.Context, number int) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.endpoint(number)+"/-/ready", nil)
	if err != nil {
		return false
	}
	a, err := d.client.Do(r)
	if err != nil {
		return false
	}
	_ = a.Body.Close()
	return a.StatusCode == http.StatusOK
}

// lines reads the commands.
func (d *demo) lines(ctx context.Context) <-chan string {
	lines := make(chan string)
	if d.Commands == nil {
		return lines
	}
	go func() { // it ends with the program: nobody can be called back from reading a terminal
		for s := bufio.NewScanner(d.Commands); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

// drain ends all nodes, each as one that is told to end.
func (d *demo) drain() {
	d.client.CloseIdleConnections()
	var all sync.WaitGroup
	for _, m := range d.nodes {
		all.Go(func() { d.end(m, syscall.SIGTERM) })
	}
	all.Wait()
	d.works.Wait()
}

// end ends a node, because somebody said so.
func (d *demo) end(m *member, s syscall.Signal) {
	d.mu.Lock()
	m.asked = true
	p := m.process
	d.mu.Unlock()
	p.end(s)
}

func (d *demo) say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.Out, format+"\n", args...)
}
