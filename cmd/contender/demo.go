package main

import (
	"context"
	"crypto/rand"
	"os"

	"github.com/contender/contender/cmd/demo"
)

type demoVerb struct {
	Nodes int    `default:"5" help:"How many nodes to start. A demo that had more before has them still."`
	Disks int    `default:"2" help:"How many folders each new node has."`
	Dir   string `default:"./contender-demo" help:"Where everything lies. It is there again the next time; remove it to begin anew."`
	Port  int    `default:"9000" help:"Port of the first node's S3 service; its console and its peer service are one and two above, those of the next node ten."`
}

// Run runs a cluster on this machine until a signal or the command quit.
func (v *demoVerb) Run(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	return demo.Run(ctx, demo.Options{
		Program: program, Dir: v.Dir, Nodes: v.Nodes, Disks: v.Disks, Port: v.Port, Rand: rand.Reader,
		Keys: demo.Keys{Access: os.Getenv("CONTENDER_ACCESS_KEY"), Secret: os.Getenv("CONTENDER_SECRET_KEY")},
		Out:  os.Stdout, Commands: os.Stdin,
	})
}
