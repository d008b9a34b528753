package machine

import (
	"bytes"
	"encoding/binary"

	"github.com/zeebo/xxh3"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// Sum hashes all rows of a range, but for what is each replica's own affair: where its log was truncated. Replicas that have
// applied the same entries have the same sum. It reads every row.
func Sum(r disk.Reader, rangeID uint64) (uint64, error) {
	d, err := readDescriptor(r, rangeID)
	if err != nil {
		return 0, err
	}
	h := xxh3.New()
	var size [8]byte
	add := func(b []byte) {
		binary.BigEndian.PutUint64(size[:], uint64(len(b)))
		_, _ = h.Write(size[:])
		_, _ = h.Write(b)
	}
	state := keys.StateRow(rangeID)
	for _, span := range Spans(d) {
		err := scan(r, span, func(row disk.Row) error {
			if bytes.Equal(row.Key, state) {
				s := new(metapb.RangeState)
				if err := decode(row.Key, row.Value, s); err != nil {
					return err
				}
				s.TruncatedIndex, s.TruncatedTerm = 0, 0
				v, err := s.MarshalVT()
				if err != nil {
					return err
				}
				row.Value = v
			}
			add(row.Key)
			add(row.Value)
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return h.Sum64(), nil
}
