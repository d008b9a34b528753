package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Report prints results as a table, one line a scenario and endpoint.
func Report(w io.Writer, rs []Result) error {
	t := tabwriter.NewWriter(w, 2, 4, 2, ' ', 0)
	fmt.Fprintln(t, "scenario\tendpoint\tops/s\tMiB/s\tp50 ms\tp99 ms\tCPU ms/op\tCPU s/GiB\trate ratio\tCPU ratio\terrors")
	for _, r := range rs {
		fmt.Fprintf(t, "%s\t%s\t%.0f\t%.1f\t%.2f\t%.2f\t%s\t%s\t%.2f\t%s\t%d\n", r.Scenario, r.Target, r.OpsPerSecond, r.MiBPerSecond,
			r.P50Millis, r.P99Millis, measured(r.CPUMillis, 3), measured(r.CPUSecPerGiB, 2), r.RateRatio, measured(r.CPURatio, 2), r.Errors)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range rs {
		if r.FirstError != "" {
			fmt.Fprintf(w, "%s on %s: first error: %s\n", r.Scenario, r.Target, r.FirstError)
		}
	}
	return nil
}

// measured prints a figure, a dash if it was not measured.
func measured(v float64, digits int) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.*f", digits, v)
}
