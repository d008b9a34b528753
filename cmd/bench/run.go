package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Options says what is run. Targets take turns in each round; the first one is what the others are compared with.
type Options struct {
	Targets   []Target
	Scenarios []Scenario
	Rounds    int           // at least 1
	Round     time.Duration // length of one round of one scenario on one endpoint
	Keys      int           // objects that reading scenarios choose from
	Bucket    string        // made if it is not there
	Progress  func(string)  // told what is going on; may be nil
}

// Round is what one round of one scenario gave on one endpoint.
type Round struct {
	Ops, Errors int
	Bytes       int64
	Seconds     float64
	CPUSeconds  float64 // of the server; 0 without pids
	Latencies   []time.Duration
}

// Result is a scenario on one endpoint, over all rounds.
type Result struct {
	Scenario     string  `json:"scenario"`
	Target       string  `json:"target"`
	Ops          int     `json:"ops"`
	Errors       int     `json:"errors"`
	OpsPerSecond float64 `json:"ops_per_second"` // median of the rounds
	MiBPerSecond float64 `json:"mib_per_second"` // median of the rounds
	P50Millis    float64 `json:"p50_ms"`         // over all operations
	P99Millis    float64 `json:"p99_ms"`         // over all operations
	CPUMillis    float64 `json:"cpu_ms_per_op"`  // of the server, over all rounds; 0: not measured
	CPUSecPerGiB float64 `json:"cpu_s_per_gib"`  // of the server; 0: not measured or no bytes
	RateRatio    float64 `json:"rate_ratio"`     // to the first endpoint, median pair by pair
	CPURatio     float64 `json:"cpu_ratio"`      // to the first endpoint; 0: not measured
	FirstError   string  `json:"first_error,omitempty"`
}

// Run runs all scenarios and returns a Result for each scenario and target, in that order.
func Run(ctx context.Context, o Options) ([]Result, error) {
	if len(o.Targets) == 0 || len(o.Scenarios) == 0 || o.Rounds < 1 || o.Keys < 1 {
		return nil, errors.New("bench: want at least one endpoint, one scenario, one round and one key")
	}
	for _, s := range o.Scenarios {
		if err := s.validate(); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
	}
	var out []Result
	for _, s := range o.Scenarios {
		rs, err := runScenario(ctx, o, s)
		if err != nil {
			return out, err
		}
		out = append(out, rs...)
	}
	return out, nil
}

func runScenario(ctx context.Context, o Options, s Scenario) ([]Result, error) {
	loads := make([]*load, len(o.Targets))
	for i, t := range o.Targets {
		c := newClient(t, s.Concurrency)
		defer c.close()
		if _, _, err := c.do(ctx, http.MethodPut, "/"+o.Bucket, nil, nil); err != nil {
			if _, _, err2 := c.do(ctx, http.MethodHead, "/"+o.Bucket, nil, nil); err2 != nil {
				return nil, fmt.Errorf("bench: %s: %w", t.Name, err)
			}
		}
		loads[i] = newLoad(s, c, o.Bucket, o.Keys)
		if err := loads[i].prepare(ctx, deletable(o, s)); err != nil {
			return nil, fmt.Errorf("bench: prepare %s on %s: %w", s, t.Name, err)
		}
	}
	rounds := make([][]Round, len(loads))
	firstErr := make([]string, len(loads))
	for r := range o.Rounds {
		for k := range loads {
			i := (k + r) % len(loads) // who begins changes from round to round
			if o.Progress != nil {
				o.Progress(fmt.Sprintf("%s: round %d of %d on %s", s, r+1, o.Rounds, o.Targets[i].Name))
			}
			res, err := oneRound(ctx, loads[i], o)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil && firstErr[i] == "" {
				firstErr[i] = err.Error()
			}
			rounds[i] = append(rounds[i], res)
		}
	}
	out := make([]Result, len(loads))
	for i := range loads {
		out[i] = summarize(s, o.Targets[i], rounds[i], rounds[0])
		out[i].FirstError = firstErr[i]
	}
	return out, nil
}

// deletable is how many objects a delete scenario needs at the most that it is likely to reach.
func deletable(o Options, s Scenario) int {
	if s.Op != "delete" {
		return 0
	}
	return o.Keys * o.Rounds
}

func oneRound(ctx context.Context, l *load, o Options) (Round, error) {
	cpu := cpuSeconds(l.c.t.Pids)
	began := time.Now()
	deadline := began.Add(o.Round)
	type outcome struct {
		Round
		err error
	}
	results := make([]outcome, l.s.Concurrency)
	var wg sync.WaitGroup
	for w := range results {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := rand.New(rand.NewPCG(uint64(w), uint64(began.UnixNano())))
			res := &results[w]
			for time.Now().Before(deadline) && ctx.Err() == nil {
				if l.s.Op == "delete" && l.gone.Load() >= int64(deletable(o, l.s)) {
					return
				}
				t := time.Now()
				n, err := l.one(ctx, r)
				if err != nil {
					res.Errors++
					if res.err == nil {
						res.err = err
					}
					continue
				}
				res.Ops++
				res.Bytes += n
				res.Latencies = append(res.Latencies, time.Since(t))
			}
		}()
	}
	wg.Wait()
	all := Round{Seconds: time.Since(began).Seconds(), CPUSeconds: cpuSeconds(l.c.t.Pids) - cpu}
	var first error
	for _, r := range results {
		all.Ops, all.Errors, all.Bytes = all.Ops+r.Ops, all.Errors+r.Errors, all.Bytes+r.Bytes
		all.Latencies = append(all.Latencies, r.Latencies...)
		if first == nil {
			first = r.err
		}
	}
	return all, first
}

func summarize(s Scenario, t Target, rounds, base []Round) Result {
	out := Result{Scenario: s.String(), Target: t.Name}
	var rates, mib, rateRatios, cpuRatios []float64
	var all []time.Duration
	var cpu float64
	var bytes int64
	for i, r := range rounds {
		out.Ops, out.Errors = out.Ops+r.Ops, out.Errors+r.Errors
		cpu, bytes = cpu+r.CPUSeconds, bytes+r.Bytes
		all = append(all, r.Latencies...)
		rates = append(rates, float64(r.Ops)/r.Seconds)
		mib = append(mib, float64(r.Bytes)/r.Seconds/(1<<20))
		if b := base[i]; b.Ops > 0 && r.Ops > 0 {
			rateRatios = append(rateRatios, float64(r.Ops)/r.Seconds/(float64(b.Ops)/b.Seconds))
			if b.CPUSeconds > 0 && r.CPUSeconds > 0 {
				cpuRatios = append(cpuRatios, r.CPUSeconds/float64(r.Ops)/(b.CPUSeconds/float64(b.Ops)))
			}
		}
	}
	slices.Sort(all)
	out.OpsPerSecond, out.MiBPerSecond = median(rates), median(mib)
	out.P50Millis, out.P99Millis = quantile(all, 0.50), quantile(all, 0.99)
	if out.Ops > 0 && cpu > 0 {
		out.CPUMillis = cpu / float64(out.Ops) * 1000
		if bytes > 0 {
			out.CPUSecPerGiB = cpu / (float64(bytes) / (1 << 30))
		}
	}
	out.RateRatio, out.CPURatio = median(rateRatios), median(cpuRatios)
	return out
}

// median returns the middle of a list, 0 of an empty one.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// quantile returns a quantile of sorted durations in milliseconds, 0 of none.
func quantile(v []time.Duration, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	i := int(q * float64(len(v)-1))
	return float64(v[i]) / float64(time.Millisecond)
}
