package console

import (
	"fmt"

	"github.com/contender/contender/gateway/admin"
)

// view is what the page shows: words and counts only.
type view struct {
	Known, Healthy         bool
	Verdict                string
	NodesUp, Nodes         int
	DisksUp, Disks         int
	Used, Capacity, Policy string
	Ranges, RangesShort    int
	Groups, GroupsAtRisk   int
	BelowPolicy            string
	Survives               []level
	Each                   []nodeView
}

type level struct {
	Name  string
	Count int
}

type nodeView struct {
	Number         int
	Up             bool
	State          string
	DisksUp, Disks int
}

// describe leaves out of a status all that strangers need not know.
func describe(s admin.Status, known bool) view {
	if !known {
		return view{Verdict: "The state of the cluster cannot be read now."}
	}
	v := view{
		Known: true, Healthy: s.Healthy, Verdict: "Healthy", Nodes: len(s.Nodes), Policy: s.Policy,
		Ranges: s.Ranges.Count, RangesShort: s.Ranges.UnderReplicated,
		Groups: s.Groups.Count, GroupsAtRisk: s.Groups.AtRisk, BelowPolicy: size(s.BytesBelowPolicy),
		Survives: []level{
			{"folders", s.Tolerates.Folder},
			{"devices", s.Tolerates.Device},
			{"nodes", s.Tolerates.Node},
			{"racks", s.Tolerates.Rack},
			{"sites", s.Tolerates.Site},
		},
	}
	if !s.Healthy {
		v.Verdict = "Needs attention"
	}
	var used, capacity int64
	for i, n := range s.Nodes {
		nv := nodeView{Number: i + 1, Up: n.State == admin.StateUp, State: "up", Disks: len(n.Disks)}
		if nv.Up {
			v.NodesUp++
		} else {
			nv.State = "not up"
		}
		for _, d := range n.Disks {
			if d.State == admin.StateUp {
				nv.DisksUp++
			}
			used += d.UsedBytes
			capacity += d.CapacityBytes
		}
		v.Disks += nv.Disks
		v.DisksUp += nv.DisksUp
		v.Each = append(v.Each, nv)
	}
	v.Used, v.Capacity = size(used), size(capacity)
	return v
}

// size prints a number of bytes for people.
func size(n int64) string {
	if n == admin.BytesUnknown {
		return "not known"
	}
	if n < 1024 {
		return fmt.Sprintf("%d bytes", n)
	}
	f, units := float64(n), []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	i := -1
	for f >= 1024 && i < len(units)-1 {
		f /= 1024
		i++
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}
