// Command contender is the one binary of Contender: the server and the tools that go with it, one verb a file.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the build.
var version = "dev"

// verbs is the command line; each field is a verb with a Run method.
type verbs struct {
	Server  serverVerb  `cmd:"" help:"Run a server on the given folders."`
	Gateway gatewayVerb `cmd:"" help:"Run an S3 front-end alone, without a disk, for a cluster."`
	Status  statusVerb  `cmd:"" help:"Show how the cluster is and how many failures it survives now."`
	Token   tokenVerb   `cmd:"" help:"Make a token with which a new node joins the cluster."`
	Node    nodeVerb    `cmd:"" help:"List the nodes, and say when you work on one."`
	Disk    diskVerb    `cmd:"" help:"List the disks."`
	Explain explainVerb `cmd:"" help:"Show where an object lies and which failures it survives now."`
	Bucket  bucketVerb  `cmd:"" help:"Make and show buckets, and say how their bytes are kept."`
	Range   rangeVerb   `cmd:"" help:"List, split and move the ranges of the metadata."`
	Demo    demoVerb    `cmd:"" help:"Run a cluster of several nodes on this machine, to try things out, to kill and to grow."`
	Bench   benchVerb   `cmd:"" help:"Load S3 endpoints side by side in interleaved rounds and report ratios."`
	Version versionVerb `cmd:"" help:"Print the version."`
}

// An exitError ends the program with a code of its own.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string { return e.err.Error() }
func (e exitError) Unwrap() error { return e.err }

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	var v verbs
	p, err := kong.New(&v,
		kong.Name("contender"),
		kong.Description("An S3-compatible object store that runs as a cluster of equal peers."),
		kong.UsageOnError(),
		kong.DefaultEnvars("CONTENDER"),
		kong.Configuration(yamlConfig),
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, "contender:", err)
		return 1
	}
	k, err := p.Parse(args)
	if err != nil {
		p.FatalIfErrorf(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.BindTo(ctx, (*context.Context)(nil))
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "contender:", err)
		var exit exitError
		if errors.As(err, &exit) {
			return exit.code
		}
		return 1
	}
	return 0
}
