package machine

import (
	"bytes"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// findSplit answers with the position that halves what the range keeps, by the rows of versions or, where there are none, of
// uploads. A key is never cut in two.
func (x *reading) findSplit() (*metapb.Answer, error) {
	for _, c := range []keys.Column{keys.Versions, keys.Uploads} {
		span, err := keys.ColumnSpan(c, x.descriptor.Start, x.descriptor.End)
		if err != nil {
			return nil, err
		}
		var s scale
		err = scan(x.r, span, func(row disk.Row) error { return s.weigh(c, row) })
		if at := s.middle(x.descriptor.Start); at != nil || err != nil {
			return &metapb.Answer{Split: at}, err
		}
	}
	return &metapb.Answer{}, nil
}

// scaleMarks bounds how many marks a scale remembers: the middle is found to within a share of about two of them.
const scaleMarks = 512

// scale finds the middle of rows by their weight in one pass over them, in bounded memory: it remembers the positions where
// keys began, a step apart, and doubles the step when they become too many.
type scale struct {
	total uint64
	step  uint64
	marks []mark
	last  keys.Row
}

// mark is where a key begins, and what lies before it.
type mark struct {
	position []byte
	before   uint64
}

// weigh takes in the next row.
func (s *scale) weigh(c keys.Column, row disk.Row) error {
	at, err := keys.Parse(row.Key)
	if err != nil {
		return err
	}
	if s.last.Key == nil || at.Bucket != s.last.Bucket || !bytes.Equal(at.Key, s.last.Key) {
		s.mark(at)
	}
	s.last = at
	s.total += uint64(len(row.Key) + len(row.Value))
	if c != keys.Versions {
		return nil
	}
	_, length, _, err := PayloadOf(row)
	s.total += length
	return err
}

// mark remembers where a key begins if the last one lies far enough behind.
func (s *scale) mark(at keys.Row) {
	if n := len(s.marks); n > 0 && s.total < s.marks[n-1].before+s.step {
		return
	}
	s.marks = append(s.marks, mark{keys.Position(at.Bucket, at.Key), s.total})
	if len(s.marks) < scaleMarks {
		return
	}
	kept := s.marks[:0]
	for i := 0; i < len(s.marks); i += 2 {
		kept = append(kept, s.marks[i])
	}
	s.marks, s.step = kept, max(1, 2*s.step, 2*s.total/scaleMarks)
}

// middle returns the position that is nearest to the middle and above start, nil if there is none.
func (s *scale) middle(start []byte) (at []byte) {
	best := ^uint64(0)
	for _, m := range s.marks {
		off := max(m.before, s.total-m.before) - s.total/2
		if off < best && m.before > 0 && !bytes.Equal(m.position, start) {
			best, at = off, m.position
		}
	}
	return at
}
