package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/contender/contender/cmd/bench"
)

type benchVerb struct {
	Endpoint    []string      `default:"contender=http://127.0.0.1:9000" placeholder:"NAME=URL" help:"Endpoints to compare; the first is what the others are measured against."`
	Keys        []string      `placeholder:"NAME=ACCESS:SECRET" help:"Keys of an endpoint. Default: CONTENDER_ACCESS_KEY and CONTENDER_SECRET_KEY."`
	Pids        []string      `sep:"none" placeholder:"NAME=PID,…" help:"Server processes of an endpoint, for CPU per operation."`
	Ops         []string      `default:"put,get,head,list,delete" help:"Operations: put, get, head, list, delete, multipart, mixed."`
	Size        []string      `default:"4KiB,1MiB" help:"Sizes of an object, for example 4KiB or 1MiB; of a part for multipart."`
	Concurrency []int         `default:"16" help:"Requests in flight."`
	Rounds      int           `default:"3" help:"Rounds; the endpoints take turns in each."`
	Round       time.Duration `default:"3s" help:"Length of one round of one scenario on one endpoint."`
	Objects     int           `default:"1000" help:"Objects that reading scenarios choose from."`
	Bucket      string        `default:"contender-bench" help:"Bucket to use; made if it is not there."`
	Region      string        `default:"us-east-1" help:"Region to sign for."`
	JSON        bool          `help:"Print the results as JSON."`
}

// Run runs the benchmark and prints its results.
func (v *benchVerb) Run(ctx context.Context) error {
	o := bench.Options{Rounds: v.Rounds, Round: v.Round, Keys: v.Objects, Bucket: v.Bucket}
	var err error
	if o.Targets, err = v.targets(); err != nil {
		return err
	}
	if o.Scenarios, err = v.scenarios(); err != nil {
		return err
	}
	if !v.JSON {
		o.Progress = func(s string) { fmt.Fprintf(os.Stderr, "\r\033[K%s", s) }
		defer fmt.Fprint(os.Stderr, "\r\033[K")
	}
	rs, err := bench.Run(ctx, o)
	if err != nil {
		return err
	}
	if v.JSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(rs)
	}
	fmt.Fprint(os.Stderr, "\r\033[K")
	return bench.Report(os.Stdout, rs)
}

func (v *benchVerb) targets() ([]bench.Target, error) {
	var out []bench.Target
	for _, s := range v.Endpoint {
		name, url, ok := strings.Cut(s, "=")
		if !ok {
			return nil, fmt.Errorf("--endpoint %q: want NAME=URL", s)
		}
		out = append(out, bench.Target{
			Name: name, URL: url, Region: v.Region,
			AccessKey: os.Getenv("CONTENDER_ACCESS_KEY"), SecretKey: os.Getenv("CONTENDER_SECRET_KEY"),
		})
	}
	find := func(flag, s string) (*bench.Target, string, error) {
		name, value, ok := strings.Cut(s, "=")
		for i := range out {
			if ok && out[i].Name == name {
				return &out[i], value, nil
			}
		}
		return nil, "", fmt.Errorf("--%s %q: want NAME=… with the name of an endpoint", flag, s)
	}
	for _, s := range v.Keys {
		t, value, err := find("keys", s)
		if err != nil {
			return nil, err
		}
		var ok bool
		if t.AccessKey, t.SecretKey, ok = strings.Cut(value, ":"); !ok {
			return nil, fmt.Errorf("--keys %q: want NAME=ACCESS:SECRET", s)
		}
	}
	for _, s := range v.Pids {
		t, value, err := find("pids", s)
		if err != nil {
			return nil, err
		}
		for _, p := range strings.Split(value, ",") {
			pid, err := strconv.Atoi(p)
			if err != nil {
				return nil, fmt.Errorf("--pids %q: %w", s, err)
			}
			t.Pids = append(t.Pids, pid)
		}
	}
	return out, nil
}

// scenarios crosses operations, sizes and concurrencies; what does not depend on size is run with the first only.
func (v *benchVerb) scenarios() ([]bench.Scenario, error) {
	var out []bench.Scenario
	for _, op := range v.Ops {
		for i, text := range v.Size {
			size, err := parseSize(text)
			if err != nil {
				return nil, err
			}
			if i > 0 && (op == "head" || op == "list" || op == "delete") {
				continue
			}
			for _, c := range v.Concurrency {
				out = append(out, bench.Scenario{Op: op, Size: size, Concurrency: c})
			}
		}
	}
	return out, nil
}

// parseSize reads a number of bytes with an optional binary unit: 4096, 4KiB, 1MiB, 1GiB.
func parseSize(s string) (int64, error) {
	units := []struct {
		name string
		n    int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}, {"", 1}}
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			if err != nil || n < 0 {
				return 0, fmt.Errorf("size %q: want for example 4096, 4KiB or 1MiB", s)
			}
			return n * u.n, nil
		}
	}
	return 0, fmt.Errorf("size %q", s)
}
