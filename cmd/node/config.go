package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"github.com/contender/contender/heal/orphan"
	"github.com/contender/contender/trust"
)

// MetricsAccess says who may read /-/metrics.
type MetricsAccess string

// The settings of MetricsAccess.
const (
	MetricsLocal  MetricsAccess = "local"  // clients on this machine
	MetricsOpen   MetricsAccess = "open"   // anyone
	MetricsSigned MetricsAccess = "signed" // requests signed with the root keys
)

// Config is what an operator decides of a node. Addresses are host:port as net.Listen takes them.
type Config struct {
	// FrontEnd: S3 alone, for the cluster that is joined anew at each start; no disk, no replica. Dirs, Init, Peer, Console and
	// all that concerns disks mean nothing then, and the region is the cluster's.
	FrontEnd bool

	Dirs []string // folders, one a disk; at least one
	Init bool     // found a cluster if every folder is empty or absent
	Join []string // peer addresses; with them nothing is founded
	// Secret is the cluster's, the same on every node; zero: nobody joins by it. Token is what this node joins with if it
	// has no secret.
	Secret trust.Secret
	Token  trust.Token

	Listen, Peer, Console string
	Advertise             string // host; empty: found out
	Region                string
	Name                  string // empty: the host's name
	Site, Rack            string

	AccessKey, SecretKey string // root keys; both or none
	Version              string
	Metrics              MetricsAccess

	DeleteDelay   time.Duration // how long deleted bytes stay
	SegmentBytes  int64         // of new disks
	CapacityBytes int64         // of each folder; 0: all of its file system
	DrainTimeout  time.Duration
	ReadByIndex   bool  // every read asks a majority, instead of relying on promises and clocks
	RangeBytes    int64 // that a metadata range keeps before it is split; 0: RangeBytesDefault
	RangeRate     int   // requests in a second that a range answers before it is split; 0: RangeRateDefault
	// OrphanGrace is how old bytes must be before they are looked at that no record may name; 0: orphan.GraceDefault.
	OrphanGrace time.Duration
}

// orphanGraceMin is the least OrphanGrace: writes that take longer are refused at their end.
const orphanGraceMin = time.Second

// rangeBytesMin is the least that a range may be told to keep: a split takes longer than to write so much.
const rangeBytesMin = 64 << 10

// Least lengths of given root keys, in bytes, as MinIO and AWS have them.
const (
	accessKeyMin = 3
	secretKeyMin = 8
	keyMax       = 128
)

func (c *Config) validate() error {
	if err := c.validateCommon(); err != nil {
		return err
	}
	if c.FrontEnd {
		if len(c.Join) == 0 {
			return errors.New("a front-end needs --join with the HOST:PORT of a node's peer service")
		}
		return addresses(c.Listen)
	}
	if len(c.Dirs) == 0 {
		return errors.New("no folder given: a server needs at least one DIR")
	}
	seen := map[string]bool{}
	for _, d := range c.Dirs {
		if d == "" || seen[d] {
			return fmt.Errorf("folder %q is given twice or empty", d)
		}
		seen[d] = true
	}
	if c.RangeBytes == 0 {
		c.RangeBytes = RangeBytesDefault
	}
	if c.RangeRate == 0 {
		c.RangeRate = RangeRateDefault
	}
	if c.RangeRate < 0 {
		return fmt.Errorf("ranges of %d requests per second: want a positive number", c.RangeRate)
	}
	if c.OrphanGrace == 0 {
		c.OrphanGrace = orphan.GraceDefault
	}
	if c.OrphanGrace < orphanGraceMin {
		return fmt.Errorf("a grace of %v for orphans: want at least %v", c.OrphanGrace, orphanGraceMin)
	}
	if c.RangeBytes < rangeBytesMin {
		return fmt.Errorf("ranges of %d bytes: want at least %d", c.RangeBytes, rangeBytesMin)
	}
	if c.Region == "" {
		return errors.New("the region must not be empty")
	}
	return addresses(c.Listen, c.Peer, c.Console)
}

// validateCommon judges what a front-end has, too.
func (c *Config) validateCommon() error {
	if (c.AccessKey == "") != (c.SecretKey == "") {
		return errors.New("CONTENDER_ACCESS_KEY and CONTENDER_SECRET_KEY go together: one of them is missing")
	}
	if c.AccessKey != "" && (len(c.AccessKey) < accessKeyMin || len(c.AccessKey) > keyMax || len(c.SecretKey) < secretKeyMin || len(c.SecretKey) > keyMax) {
		return fmt.Errorf("root keys: the access key needs %d to %d bytes, the secret key %d to %d", accessKeyMin, keyMax, secretKeyMin, keyMax)
	}
	for _, a := range c.Join {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			return fmt.Errorf("--join %q: want the HOST:PORT of a node's peer service", a)
		}
	}
	switch c.Metrics {
	case MetricsLocal, MetricsOpen, MetricsSigned:
		return nil
	}
	return fmt.Errorf("metrics access %q: want local, open or signed", c.Metrics)
}

// addresses judges what is to be listened on.
func addresses(list ...string) error {
	for _, a := range list {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return fmt.Errorf("address %q: %w", a, err)
		}
	}
	return nil
}

// Env is the world that a node runs in. Tests hand in their own.
type Env struct {
	FS     vfs.FS
	Listen func(network, address string) (net.Listener, error)
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	// Route returns the address of this machine from which it reaches another; nil: nobody asks.
	Route func(to string) (host string, err error)
	Clock func() time.Time
	// BootClock goes on while the process is paused or the machine sleeps, and never steps. Nil: Clock, which must not step
	// then.
	BootClock func() time.Duration
	Rand      io.Reader
	Log       *slog.Logger
	// Device names the device that a folder lies on; folders of one device fail together.
	Device func(dir string) (uint64, error)
	// Inode names a folder within its device, so that one folder under two names is found out; nil: nobody asks.
	Inode func(dir string) (uint64, error)
	// Hostname is the default of a node's name.
	Hostname func() (string, error)
}

// SystemEnv is the real world.
func SystemEnv(log *slog.Logger) Env {
	return Env{
		FS: vfs.Default, Listen: net.Listen, Dial: new(net.Dialer).DialContext, Route: route, Clock: time.Now, BootClock: bootClock, Rand: rand.Reader, Log: log,
		Device: statDevice, Inode: statInode, Hostname: os.Hostname,
	}
}

// bootClock is CLOCK_BOOTTIME.
func bootClock() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(fmt.Errorf("the kernel has no boot-time clock: %w", err)) // since Linux 2.6.39 it has
	}
	return time.Duration(t.Nano())
}

// route asks the kernel; nothing is sent.
func route(to string) (string, error) {
	c, err := net.Dial("udp", to)
	if err != nil {
		return "", err
	}
	host, _, err := net.SplitHostPort(c.LocalAddr().String())
	return host, errors.Join(err, c.Close())
}

func statDevice(dir string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	return st.Dev, nil
}

func statInode(dir string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	return st.Ino, nil
}
