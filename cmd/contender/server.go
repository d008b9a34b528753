package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/alecthomas/kong"

	"github.com/contender/contender/cmd/node"
	"github.com/contender/contender/trust"
)

type serverVerb struct {
	Dirs []string `arg:"" name:"DIR" help:"Folders to keep data in, one a disk."`

	Init      bool            `help:"Found a new cluster if every DIR is empty or absent. Harmless on disks that belong to one."`
	Join      []string        `placeholder:"HOST:PORT" help:"Peer addresses of a cluster to join, if the folders belong to none yet; with it --init founds nothing. The cluster's secret comes from CONTENDER_CLUSTER_SECRET, or a token from CONTENDER_JOIN_TOKEN."`
	Listen    string          `default:":9000" help:"Address of the S3 service."`
	Peer      string          `default:":9002" help:"Address for other nodes."`
	Console   string          `default:":9001" help:"Address of the console."`
	Advertise string          `placeholder:"HOST" help:"Host that other nodes reach this one by. Default: the host of --peer, or the address of a route."`
	Region    string          `default:"us-east-1" help:"Region that clients sign for; decided at founding."`
	Name      string          `help:"Name of this node. Default: the host name."`
	Site      string          `help:"Site that this node stands in."`
	Rack      string          `help:"Rack that this node stands in."`
	Config    kong.ConfigFlag `placeholder:"FILE" help:"YAML file with any of these settings by their names."`

	Metrics       string        `enum:"local,open,signed" default:"local" help:"Who may read /-/metrics: only this machine (local), anyone (open), or requests signed with the root keys (signed)."`
	LogLevel      slog.Level    `default:"info" help:"Least level that is logged: debug, info, warn, error."`
	LogFormat     string        `enum:"text,json" default:"text" help:"Form of the log: text or json."`
	DeleteDelay   time.Duration `default:"15m" help:"How long the bytes of deleted or replaced objects stay on disk."`
	OrphanGrace   time.Duration `default:"24h" help:"How old bytes must be before they are deleted because no object names them. No upload of an object or part may take longer."`
	SegmentBytes  int64         `default:"67108864" help:"Size of a log segment on new disks, in bytes."`
	Capacity      int64         `default:"0" help:"Most bytes that one DIR may fill; 0: all of its file system."`
	Reads         string        `enum:"promise,index" default:"promise" help:"How a node that leads a range makes sure that it still does before it answers: by promises between nodes, which rely on boot-time clocks that run within 5 % of each other (promise), or by asking a majority each time (index)."`
	RangeMaxBytes int64         `default:"268435456" help:"Bytes that a metadata range keeps, inline objects among them, before it is split in two."`
	RangeMaxRate  int           `default:"5000" help:"Requests in a second that a metadata range answers before it is split in two."`
	DrainTimeout  time.Duration `default:"20s" help:"How long running requests may take to end after SIGTERM."`
}

// Run starts the server and returns when it has drained after a signal.
func (v *serverVerb) Run(ctx context.Context) error {
	log := newLogger(os.Stderr, v.LogLevel, v.LogFormat)
	cfg := node.Config{
		Dirs: v.Dirs, Init: v.Init, Join: v.Join,
		Listen: v.Listen, Peer: v.Peer, Console: v.Console, Advertise: v.Advertise,
		Region: v.Region, Name: v.Name, Site: v.Site, Rack: v.Rack,
		AccessKey: os.Getenv("CONTENDER_ACCESS_KEY"), SecretKey: os.Getenv("CONTENDER_SECRET_KEY"),
		Version: version, Metrics: node.MetricsAccess(v.Metrics),
		DeleteDelay: v.DeleteDelay, SegmentBytes: v.SegmentBytes, CapacityBytes: v.Capacity,
		DrainTimeout: v.DrainTimeout, RangeBytes: v.RangeMaxBytes, RangeRate: v.RangeMaxRate, ReadByIndex: v.Reads == "index",
		OrphanGrace: v.OrphanGrace,
	}
	return runNode(ctx, cfg, log)
}

// runNode starts a node and returns when it has drained after a signal.
func runNode(ctx context.Context, cfg node.Config, log *slog.Logger) error {
	if err := readSecrets(&cfg, os.Getenv); err != nil {
		return err
	}
	env, err := serverEnv(log)
	if err != nil {
		return err
	}
	n, err := node.Open(ctx, cfg, env)
	if err != nil {
		return err
	}
	greet(os.Stdout, n.Greeting())
	return n.Serve(ctx)
}

// readSecrets takes what nodes know each other by from the environment alone: a command line can be seen by others.
func readSecrets(cfg *node.Config, getenv func(string) string) (err error) {
	if s := getenv("CONTENDER_CLUSTER_SECRET"); s != "" {
		if cfg.Secret, err = trust.ParseSecret(s); err != nil {
			return fmt.Errorf("CONTENDER_CLUSTER_SECRET: %w", err)
		}
	}
	if s := getenv("CONTENDER_JOIN_TOKEN"); s != "" {
		if cfg.Token, err = trust.ParseToken(s); err != nil {
			return fmt.Errorf("CONTENDER_JOIN_TOKEN: %w", err)
		}
	}
	return nil
}

func newLogger(w io.Writer, level slog.Level, format string) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// greet tells a new user how to go on: the endpoint, where the keys are, and lines to paste.
func greet(w io.Writer, g node.Greeting) {
	fmt.Fprintf(w, "Contender %s, cluster %s\n\n", version, g.Cluster)
	fmt.Fprintf(w, "  S3 endpoint  %s   (region %s)\n", g.S3URL, g.Region)
	if g.Peer != "" { // not a front-end
		fmt.Fprintf(w, "  console      %s\n  peer         %s\n", g.ConsoleURL, g.Peer)
	}
	fmt.Fprintln(w)
	switch {
	case g.AccessKey == "" && !g.FromEnvironment:
		fmt.Fprintln(w, "Root keys: the cluster's; the node that founded it has them in root-credentials.")
		fmt.Fprintln(w, "\nReady to paste, with them in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY:")
	case g.FromEnvironment:
		fmt.Fprintln(w, "Root keys: as given in CONTENDER_ACCESS_KEY and CONTENDER_SECRET_KEY.")
		fmt.Fprintln(w, "\nReady to paste:")
		fmt.Fprintf(w, "  export AWS_ACCESS_KEY_ID=\"$CONTENDER_ACCESS_KEY\" AWS_SECRET_ACCESS_KEY=\"$CONTENDER_SECRET_KEY\" AWS_DEFAULT_REGION=%s\n", g.Region)
	default:
		fmt.Fprintf(w, "Root keys, also in %s:\n  access key   %s\n  secret key   %s\n", g.CredentialsFile, g.AccessKey, g.SecretKey)
		fmt.Fprintln(w, "\nReady to paste:")
		fmt.Fprintf(w, "  export AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s AWS_DEFAULT_REGION=%s\n", g.AccessKey, g.SecretKey, g.Region)
		fmt.Fprintln(w, `  export CONTENDER_ACCESS_KEY="$AWS_ACCESS_KEY_ID" CONTENDER_SECRET_KEY="$AWS_SECRET_ACCESS_KEY"`)
	}
	fmt.Fprintf(w, "  aws --endpoint-url %s s3 mb s3://first && aws --endpoint-url %s s3 cp README.md s3://first/\n", g.S3URL, g.S3URL)
	fmt.Fprintf(w, "  rclone ls \":s3,provider=Other,env_auth=true,force_path_style=true,region=%s,endpoint='%s':first\"\n", g.Region, g.S3URL)
	fmt.Fprintf(w, "  RESTIC_PASSWORD=change-me restic -r s3:%s/backups init\n", g.S3URL)
	fmt.Fprintf(w, "  contender status --endpoint %s\n\n", g.S3URL)
}
