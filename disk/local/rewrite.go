package local

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"
)

// rewriteBytes is about how much of Pebble's tables one compaction of ours may take in: Pebble runs one at a time, and
// closing waits for it.
const rewriteBytes = 64 << 20

// stepBytes is how many bytes of tables are rewritten for one wasted step: the rewriting then takes a few times the CPU
// that was wasted.
const stepBytes = 16

// rewriting says what it takes to rewrite a stretch: what must have been wasted for it, and the parts to do it in.
func (d *Disk) rewriting(s stretch) (price uint64, parts []stretch, err error) {
	levels, err := d.db.SSTables()
	if err != nil {
		return 0, nil, err
	}
	var size uint64
	var widest []pebble.SSTableInfo // of the level with the most tables, level 0 apart, where they overlap
	in := s
	for n, level := range levels {
		if n > 0 && len(level) == 0 {
			continue
		}
		taken := overlapping(level, in)
		for _, t := range taken {
			size += t.Size
		}
		if in = s; n == 0 {
			in = around(s, taken) // the whole of them goes down a level, and they may be wide
		} else if len(taken) > len(widest) {
			widest = taken
		}
	}
	return size / stepBytes, cut(s, widest, size/rewriteBytes+1), nil
}

func overlapping(level []pebble.SSTableInfo, s stretch) (out []pebble.SSTableInfo) {
	for _, t := range level {
		if s.overlaps(stretch{lower: t.Smallest.UserKey, upper: t.Largest.UserKey}) {
			out = append(out, t)
		}
	}
	return out
}

// around widens a stretch by tables.
func around(s stretch, tables []pebble.SSTableInfo) stretch {
	for _, t := range tables {
		if bytes.Compare(t.Smallest.UserKey, s.lower) < 0 {
			s.lower = t.Smallest.UserKey
		}
		if bytes.Compare(t.Largest.UserKey, s.upper) > 0 {
			s.upper = t.Largest.UserKey
		}
	}
	return s
}

// cut cuts a stretch into so many parts, between tables; fewer if there are not as many tables.
func cut(s stretch, tables []pebble.SSTableInfo, n uint64) (parts []stretch) {
	per := max(1, (uint64(len(tables))+n-1)/n)
	for i := per; i < uint64(len(tables)); i += per {
		end := tables[i-1].Largest.UserKey
		parts = append(parts, stretch{lower: s.lower, upper: end})
		s.lower = after(end)
	}
	return append(parts, s)
}
