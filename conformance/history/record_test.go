package history

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// at is an operation between two moments.
func at(call, ret time.Duration, kind Kind, value string) Op {
	return Op{Kind: kind, Value: value, Call: call, Return: ret}
}

// with gives an operation an outcome; what is unknown stays open.
func (o Op) with(outcome Outcome) Op {
	if o.Outcome = outcome; outcome == Unknown {
		o.Return = never
	}
	return o
}

func (o Op) on(match string) Op {
	o.Match = match
	return o
}

// TestJudge: histories that some order explains, and such that none does.
func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		good bool
		ops  []Op
	}{
		"nothing yet":              {true, []Op{at(1, 2, Read, Absent)}},
		"read what was written":    {true, []Op{at(1, 2, Write, "a"), at(3, 4, Read, "a")}},
		"read before the answer":   {true, []Op{at(1, 9, Write, "a"), at(2, 3, Read, "a"), at(4, 5, Read, "a")}},
		"back again":               {false, []Op{at(1, 9, Write, "a"), at(2, 3, Read, "a"), at(4, 5, Read, Absent)}},
		"stale":                    {false, []Op{at(1, 2, Write, "a"), at(3, 4, Write, "b"), at(5, 6, Read, "a")}},
		"stale listing":            {false, []Op{at(1, 2, Write, "a"), at(3, 4, Read, Absent)}},
		"lost":                     {false, []Op{at(1, 2, Write, "a"), at(3, 4, Delete, Absent), at(5, 6, Read, "a")}},
		"invented":                 {false, []Op{at(1, 2, Read, "a")}},
		"open write, carried out":  {true, []Op{at(1, 2, Write, "a").with(Unknown), at(3, 4, Read, Absent), at(5, 6, Read, "a")}},
		"open write, never":        {true, []Op{at(1, 2, Write, "a").with(Unknown), at(3, 4, Read, Absent)}},
		"open write, undone":       {false, []Op{at(1, 2, Write, "a").with(Unknown), at(3, 4, Read, "a"), at(5, 6, Read, Absent)}},
		"open write, twice":        {false, []Op{at(1, 2, Write, "a").with(Unknown), at(3, 4, Read, "a"), at(5, 6, Write, "b"), at(7, 8, Read, "a")}},
		"two winners":              {false, []Op{at(1, 9, WriteIfAbsent, "a"), at(1, 9, WriteIfAbsent, "b")}},
		"one winner":               {true, []Op{at(1, 9, WriteIfAbsent, "a"), at(1, 9, WriteIfAbsent, "b").with(Refused)}},
		"refused by nobody":        {false, []Op{at(1, 9, WriteIfAbsent, "a").with(Refused)}},
		"refused by the open one":  {true, []Op{at(1, 2, WriteIfAbsent, "a").with(Unknown), at(3, 4, WriteIfAbsent, "b").with(Refused)}},
		"swap":                     {true, []Op{at(1, 2, Write, "a"), at(3, 4, WriteIfMatch, "b").on("a"), at(5, 6, Read, "b")}},
		"swap of another":          {false, []Op{at(1, 2, Write, "a"), at(3, 4, WriteIfMatch, "b").on("c")}},
		"swap refused though":      {false, []Op{at(1, 2, Write, "a"), at(3, 4, WriteIfMatch, "b").on("a").with(Refused)}},
		"swap of nothing":          {true, []Op{at(3, 4, WriteIfMatch, "b").on("a").with(Missing)}},
		"swap of something, gone":  {false, []Op{at(1, 2, Write, "a"), at(3, 4, WriteIfMatch, "b").on("a").with(Missing)}},
		"open swap does not force": {false, []Op{at(1, 2, Write, "a"), at(3, 4, WriteIfMatch, "b").on("c").with(Unknown), at(5, 6, Read, "b")}},
	} {
		if err := judge(c.ops, time.Minute); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNarrow: what is shown of a bad history has the reads that make it bad.
func TestNarrow(t *testing.T) {
	ops := []Op{at(1, 2, Write, "a"), at(3, 4, Write, "b")}
	for i := range time.Duration(50) {
		ops = append(ops, at(10+i*2, 11+i*2, Read, "b"))
	}
	ops = append(ops, at(200, 201, Read, "a"))
	err := judge(ops, time.Minute)
	if n := strings.Count(fmt.Sprint(err), "\n"); n != 3 {
		t.Errorf("%d operations are shown, want the two writes and one read: %v", n, err)
	}
}

// TestRecord: what is open has no end, reads without an answer say nothing.
func TestRecord(t *testing.T) {
	r := NewRecord()
	r.Note(Op{Key: "k", Kind: Read, Outcome: Unknown, Call: r.Now()})
	r.Note(Op{Key: "k", Kind: Write, Value: "a", Outcome: Unknown, Call: r.Now()})
	if all, open := r.Note(Op{Key: "k", Kind: Read, Value: "a", Call: r.Now()}); all != 2 || open != 1 {
		t.Errorf("%d operations, %d open", all, open)
	}
	if bad := r.Judge(time.Minute); len(bad) > 0 {
		t.Error(bad)
	}
	r.Note(Op{Key: "k", Kind: Read, Value: Absent, Call: r.Now()})
	if bad := r.Judge(time.Minute); len(bad) != 1 {
		t.Errorf("%v, want one bad key", bad)
	}
}
