package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// exitUnreachable is the exit code of status when no answer came.
const exitUnreachable = 2

type statusVerb struct {
	Endpoint string        `default:"http://127.0.0.1:9000" help:"S3 endpoint of any node."`
	JSON     bool          `help:"Print the answer as JSON."`
	Wait     []string      `placeholder:"FIELD=VALUE" help:"Wait until a field has at least this value, for example tolerates.folder=1, or equals it if it is no number (healthy=true)."`
	Timeout  time.Duration `default:"60s" help:"How long to wait with --wait, and for one answer without."`
}

// statusPause is the time between two looks while waiting.
const statusPause = 250 * time.Millisecond

// Run asks an endpoint for the cluster's status, signed with the root keys from CONTENDER_ACCESS_KEY and
// CONTENDER_SECRET_KEY, and prints it.
func (v *statusVerb) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.Timeout)
	defer cancel()
	conditions, err := parseConditions(v.Wait)
	if err != nil {
		return err
	}
	c := rootClient(v.Endpoint)
	body, err := waitForStatus(ctx, c, conditions)
	if err != nil {
		return err
	}
	if v.JSON {
		_, err = fmt.Printf("%s\n", body)
		return err
	}
	return printStatus(os.Stdout, body)
}

func waitForStatus(ctx context.Context, c adminClient, conditions []condition) ([]byte, error) {
	for {
		body, err := c.get(ctx, "/-/admin/status")
		var refused refusedError
		if errors.As(err, &refused) || (err != nil && len(conditions) == 0) {
			return nil, exitError{exitUnreachable, fmt.Errorf("status: %w", err)}
		}
		unmet := "an answer"
		if err == nil {
			if unmet, err = firstUnmet(body, conditions); err != nil || unmet == "" {
				return body, err
			}
		}
		select {
		case <-ctx.Done():
			if body == nil {
				return nil, exitError{exitUnreachable, fmt.Errorf("status: no answer from %s: %w", c.endpoint, err)}
			}
			return nil, fmt.Errorf("status: still waiting for %s after the time given", unmet)
		case <-time.After(statusPause):
		}
	}
}

// A condition names a field of the status by a dotted path and what it must reach.
type condition struct{ path, want string }

func parseConditions(list []string) ([]condition, error) {
	var out []condition
	for _, s := range list {
		path, want, ok := strings.Cut(s, "=")
		if !ok || path == "" || want == "" {
			return nil, fmt.Errorf("--wait %q: want FIELD=VALUE", s)
		}
		out = append(out, condition{path, want})
	}
	return out, nil
}

// firstUnmet returns the first condition that a status does not meet, with what it is now; empty if all are met.
func firstUnmet(body []byte, conditions []condition) (string, error) {
	var tree any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber() // so that numbers are shown as they came
	if err := d.Decode(&tree); err != nil {
		return "", fmt.Errorf("status: the answer is no JSON: %w", err)
	}
	for _, c := range conditions {
		got, err := lookUp(tree, c.path)
		if err != nil {
			return "", err
		}
		if !reaches(got, c.want) {
			return fmt.Sprintf("%s=%s (now %v; bytes_below_policy=%v)", c.path, c.want, got, below(tree)), nil
		}
	}
	return "", nil
}

func below(tree any) any {
	v, err := lookUp(tree, "bytes_below_policy")
	if err != nil {
		return "?"
	}
	return v
}

func lookUp(tree any, path string) (any, error) {
	for _, name := range strings.Split(path, ".") {
		m, ok := tree.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("status has no field %s", path)
		}
		if tree, ok = m[name]; !ok {
			return nil, fmt.Errorf("status has no field %s", path)
		}
	}
	return tree, nil
}

func reaches(got any, want string) bool {
	if number, ok := got.(json.Number); ok {
		n, bad := number.Float64()
		if w, err := strconv.ParseFloat(want, 64); err == nil && bad == nil {
			return n >= w
		}
	}
	return fmt.Sprint(got) == want
}

func printStatus(w io.Writer, body []byte) error {
	var s struct {
		Version, Cluster, Policy string
		Healthy                  bool
		Nodes                    []struct {
			Name, S3, State string
			ClockOff        bool    `json:"clock_off"`
			ClockAhead      float64 `json:"clock_ahead_seconds"`
			Disks           []struct {
				ID, Path, State string
				Used            int64 `json:"used_bytes"`
				Capacity        int64 `json:"capacity_bytes"`
			}
		}
		FrontEnds []struct{ Name, S3 string } `json:"front_ends"`
		Ranges    struct {
			Count           int
			UnderReplicated int `json:"under_replicated"`
			Differing       int
			Remade          uint64
			RemadeLast      int64 `json:"remade_last"`
		}
		Groups struct {
			Count  int
			AtRisk int `json:"at_risk"`
		}
		Tolerates struct{ Folder, Device, Node, Rack, Site int }
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return fmt.Errorf("status: the answer is no JSON: %w", err)
	}
	health := "healthy"
	if !s.Healthy {
		health = "NOT healthy"
	}
	fmt.Fprintf(w, "cluster %s, %s, version %s, policy %s\n", s.Cluster, health, s.Version, s.Policy)
	fmt.Fprintf(w, "survives the loss of: %d folders, %d devices, %d nodes, %d racks, %d sites (one kind at a time)\n",
		s.Tolerates.Folder, s.Tolerates.Device, s.Tolerates.Node, s.Tolerates.Rack, s.Tolerates.Site)
	if s.Ranges.Differing > 0 {
		fmt.Fprintf(w, "DAMAGE: replicas of ranges hold different rows (told %d times); a minority is made anew, and the log of the nodes that lead them says which\n", s.Ranges.Differing)
	}
	if s.Ranges.Remade > 0 {
		fmt.Fprintf(w, "repaired: %d replica(s) held other rows than most and were made anew, the last on %s\n", s.Ranges.Remade, time.Unix(s.Ranges.RemadeLast, 0).UTC().Format(time.RFC3339))
	}
	fmt.Fprintf(w, "ranges %d (%d under-replicated), placement groups %d (%d at risk)\n\n", s.Ranges.Count, s.Ranges.UnderReplicated, s.Groups.Count, s.Groups.AtRisk)
	t := tabwriter.NewWriter(w, 2, 4, 2, ' ', 0)
	for _, n := range s.Nodes {
		fmt.Fprintf(t, "node %s\t%s\t%s\t\n", n.Name, stateText(n.State, n.ClockOff, n.ClockAhead), n.S3)
		for _, d := range n.Disks {
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s of %s\n", d.Path, d.State, d.ID, sizeText(d.Used), sizeText(d.Capacity))
		}
	}
	for _, f := range s.FrontEnds {
		fmt.Fprintf(t, "front-end %s\tup\t%s\t\n", f.Name, f.S3)
	}
	return t.Flush()
}

// stateText says how a node is.
func stateText(state string, clockOff bool, ahead float64) string {
	switch {
	case !clockOff:
		return state
	case ahead < 0:
		return fmt.Sprintf("%s, SICK: its clock is %.0f s behind, so it leads nothing", state, -ahead)
	}
	return fmt.Sprintf("%s, SICK: its clock is %.0f s ahead, so it leads nothing", state, ahead)
}

// sizeText prints bytes with a binary unit.
func sizeText(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, u := float64(n)/1024, 0
	for f >= 1024 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	return fmt.Sprintf("%.1f %ciB", f, units[u])
}
