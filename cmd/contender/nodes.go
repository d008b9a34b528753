package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/contender/contender/gateway/admin"
)

type nodeVerb struct {
	Ls          nodeLsVerb          `cmd:"" help:"List the nodes, and the front-ends that are connected with the one that answers."`
	Maintenance nodeMaintenanceVerb `cmd:"" help:"Say that you work on a node: its ranges are led by others as long as they can."`
}

type diskVerb struct {
	Ls diskLsVerb `cmd:"" help:"List the disks of all nodes."`
}

type nodeLsVerb struct {
	Endpoint string        `default:"http://127.0.0.1:9000" help:"S3 endpoint of any node."`
	JSON     bool          `help:"Print the nodes as JSON, as they stand in the status."`
	Timeout  time.Duration `default:"60s" help:"How long to wait for the answer."`
}

type diskLsVerb struct {
	Endpoint string        `default:"http://127.0.0.1:9000" help:"S3 endpoint of any node."`
	JSON     bool          `help:"Print the disks as JSON, each with the name of its node."`
	Timeout  time.Duration `default:"60s" help:"How long to wait for the answer."`
}

type nodeMaintenanceVerb struct {
	Node     string        `arg:"" help:"Name or id of the node."`
	For      time.Duration `placeholder:"TIME" help:"How long you will work on it; at most 720h. It ends by itself."`
	End      bool          `help:"You do not work on it any more."`
	Endpoint string        `default:"http://127.0.0.1:9000" help:"S3 endpoint of any node."`
	Timeout  time.Duration `default:"60s" help:"How long to wait for the answer."`
}

// readStatus asks an endpoint for the cluster's status.
func readStatus(ctx context.Context, c adminClient, verb string, timeout time.Duration) (s admin.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body, err := c.get(ctx, "/-/admin/status")
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	return s, plainly(verb, err)
}

// Run prints the nodes.
func (v *nodeLsVerb) Run(ctx context.Context) error {
	s, err := readStatus(ctx, rootClient(v.Endpoint), "node", v.Timeout)
	if err != nil {
		return err
	}
	if v.JSON {
		return json.NewEncoder(os.Stdout).Encode(s.Nodes)
	}
	return printNodes(os.Stdout, s)
}

func printNodes(w io.Writer, s admin.Status) error {
	t := tabwriter.NewWriter(w, 2, 4, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tID\tSTATE\tS3\tPEER\tSITE\tRACK\tDISKS\tUSED")
	for _, n := range s.Nodes {
		var used, capacity int64
		up := 0
		for _, d := range n.Disks {
			used, capacity = used+d.UsedBytes, capacity+d.CapacityBytes
			if d.State == admin.StateUp {
				up++
			}
		}
		state := stateText(n.State, n.ClockOff, n.ClockAheadSeconds)
		if n.MaintenanceUntil > 0 {
			state += ", maintenance until " + time.Unix(n.MaintenanceUntil, 0).Format(time.RFC3339)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d of %d up\t%s of %s\n", n.Name, n.ID, state, n.S3, n.Peer, dash(n.Site), dash(n.Rack),
			up, len(n.Disks), sizeText(used), sizeText(capacity))
	}
	for _, f := range s.FrontEnds {
		fmt.Fprintf(t, "%s\t%s\tup, front-end\t%s\t-\t-\t-\t-\t-\n", f.Name, f.ID, f.S3)
	}
	return t.Flush()
}

// dash stands for what is not said.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Run prints the disks.
func (v *diskLsVerb) Run(ctx context.Context) error {
	s, err := readStatus(ctx, rootClient(v.Endpoint), "disk", v.Timeout)
	if err != nil {
		return err
	}
	return printDisks(os.Stdout, s, v.JSON)
}

// nodeDisk is a disk with the name of its node.
type nodeDisk struct {
	Node string `json:"node"`
	admin.Disk
}

func printDisks(w io.Writer, s admin.Status, asJSON bool) error {
	list := []nodeDisk{}
	for _, n := range s.Nodes {
		for _, d := range n.Disks {
			list = append(list, nodeDisk{n.Name, d})
		}
	}
	if asJSON {
		return json.NewEncoder(w).Encode(list)
	}
	t := tabwriter.NewWriter(w, 2, 4, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tPATH\tID\tDEVICE\tSTATE\tUSED")
	for _, d := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s of %s\n", d.Node, d.Path, d.ID, d.Device, d.State, sizeText(d.UsedBytes), sizeText(d.CapacityBytes))
	}
	return t.Flush()
}

// Run has the node led by nobody, or ends that.
func (v *nodeMaintenanceVerb) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.Timeout)
	defer cancel()
	if v.End == (v.For != 0) || v.For < 0 || !v.End && v.For < time.Second {
		return errors.New("node: want --for TIME, or --end")
	}
	q := admin.MaintenanceRequest{Node: v.Node, ForSeconds: int64(v.For / time.Second)}
	return rootClient(v.Endpoint).post(ctx, "node", "/-/admin/nodes/maintenance", q, &struct{}{})
}
