package placement

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/contender/contender/metashards/clustermap"
)

// SlotsMax is the most slots that a group may have.
const SlotsMax = 64

// Coding is a number of data shards and of parity shards. K = 1 means plain copies, M+1 of them.
type Coding struct{ K, M int }

// String returns "k+m".
func (c Coding) String() string { return fmt.Sprintf("%d+%d", c.K, c.M) }

// Policy says how bytes are to be kept. The zero Policy is the automatic one.
type Policy struct{ fixed Coding }

// ParsePolicy reads "auto" (or nothing), "ec:k+m" or "replica:n".
func ParsePolicy(s string) (Policy, error) {
	var k, m int
	var err error
	switch kind, rest, _ := strings.Cut(s, ":"); {
	case s == "" || s == "auto":
		return Policy{}, nil
	case kind == "ec":
		a, b, ok := strings.Cut(rest, "+")
		if !ok {
			return Policy{}, fmt.Errorf("policy %q: want ec:k+m", s)
		}
		if k, err = number(a); err == nil {
			m, err = number(b)
		}
	case kind == "replica":
		k = 1
		m, err = number(rest)
		m--
	default:
		return Policy{}, fmt.Errorf("policy %q: want auto, ec:k+m or replica:n", s)
	}
	if err != nil || k < 1 || m < 0 || k+m > SlotsMax {
		return Policy{}, fmt.Errorf("policy %q: want at least one data shard and at most %d shards", s, SlotsMax)
	}
	return Policy{Coding{k, m}}, nil
}

// number reads digits only: no sign, no space.
func number(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	return int(n), err
}

// Fixed returns the policy that asks for exactly this coding.
func Fixed(c Coding) Policy { return Policy{c} }

// IsAuto reports whether the policy is the automatic one.
func (p Policy) IsAuto() bool { return p.fixed.K == 0 }

// String returns what ParsePolicy reads.
func (p Policy) String() string {
	switch {
	case p.IsAuto():
		return "auto"
	case p.fixed.K == 1:
		return fmt.Sprintf("replica:%d", p.fixed.M+1)
	}
	return "ec:" + p.fixed.String()
}

// Auto returns the coding of the automatic policy for a number of domains: it leaves a spare domain wherever that can
// be afforded and tolerates as much as the metadata replicas do.
func Auto(domains int) Coding {
	switch {
	case domains <= 1:
		return Coding{1, 0}
	case domains == 2:
		return Coding{1, 1}
	case domains <= 4:
		return Coding{2, 1}
	case domains == 5:
		return Coding{2, 2}
	case domains == 6:
		return Coding{3, 2}
	case domains <= 12:
		return Coding{4, 2}
	}
	return Coding{8, 3}
}

// DomainLevel returns the level whose domains the slots of a group must not share: nodes if there are two or more,
// else devices if there are two or more, else folders.
func DomainLevel(p *clustermap.Places) clustermap.Level {
	for _, l := range []clustermap.Level{clustermap.NodeLevel, clustermap.Device} {
		if p.Count(l) >= 2 {
			return l
		}
	}
	return clustermap.Folder
}

// Coding returns the coding that the policy asks for on a map's standing disks. It is an error if they lie in too few domains
// for it.
func (p Policy) Coding(m *clustermap.Map) (Coding, error) {
	return p.on(clustermap.NewPlaces(m.Standing()))
}

func (p Policy) on(places *clustermap.Places) (Coding, error) {
	level := DomainLevel(places)
	n := places.Count(level)
	if p.IsAuto() {
		return Auto(n), nil
	}
	if want := p.fixed.K + p.fixed.M; want > n {
		return Coding{}, fmt.Errorf("policy %v needs %d domains of level %v, there are %d", p, want, level, n)
	}
	return p.fixed, nil
}
