package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/alecthomas/kong"

	"github.com/contender/contender/cmd/node"
)

type gatewayVerb struct {
	Join         []string        `required:"" placeholder:"HOST:PORT" help:"Peer addresses of nodes of the cluster; one that answers will do. The cluster's secret comes from CONTENDER_CLUSTER_SECRET, or a token from CONTENDER_JOIN_TOKEN, which each start uses once."`
	Listen       string          `default:":9000" help:"Address of the S3 service."`
	Advertise    string          `placeholder:"HOST" help:"Host that is told to the nodes as the one where clients find this front-end. Default: the address of a route."`
	Name         string          `help:"Name of this front-end, for people. Default: the host name."`
	Config       kong.ConfigFlag `placeholder:"FILE" help:"YAML file with any of these settings by their names."`
	Metrics      string          `enum:"local,open,signed" default:"local" help:"Who may read /-/metrics: only this machine (local), anyone (open), or requests signed with the root keys (signed)."`
	LogLevel     slog.Level      `default:"info" help:"Least level that is logged: debug, info, warn, error."`
	LogFormat    string          `enum:"text,json" default:"text" help:"Form of the log: text or json."`
	DrainTimeout time.Duration   `default:"20s" help:"How long running requests may take to end after SIGTERM."`
}

// Run starts the front-end and returns when it has drained after a signal.
func (v *gatewayVerb) Run(ctx context.Context) error {
	return runNode(ctx, node.Config{
		FrontEnd: true, Join: v.Join, Listen: v.Listen, Advertise: v.Advertise, Name: v.Name,
		AccessKey: os.Getenv("CONTENDER_ACCESS_KEY"), SecretKey: os.Getenv("CONTENDER_SECRET_KEY"),
		Version: version, Metrics: node.MetricsAccess(v.Metrics), DrainTimeout: v.DrainTimeout,
	}, newLogger(os.Stderr, v.LogLevel, v.LogFormat))
}
