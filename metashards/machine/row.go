package machine

import (
	"errors"
	"fmt"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// message is a record of package metapb.
type message interface {
	MarshalVT() ([]byte, error)
	UnmarshalVT([]byte) error
}

// get reads a row into m and reports whether it is there.
func get(r disk.Reader, row []byte, m message) (bool, error) {
	v, ok, err := r.Get(row)
	if err != nil || !ok {
		return false, err
	}
	return true, decode(row, v, m)
}

func decode(row, value []byte, m message) error {
	if err := m.UnmarshalVT(value); err != nil {
		return fmt.Errorf("damaged row %x: %w", row, err)
	}
	return nil
}

func set(b disk.Batch, row []byte, m message) error {
	v, err := m.MarshalVT()
	if err != nil {
		return fmt.Errorf("encode row %x: %w", row, err)
	}
	return b.Set(row, v)
}

func knownFormat(f uint32) error {
	if f > Format {
		return fmt.Errorf("format %d, this program knows %d", f, Format)
	}
	return nil
}

// PayloadOf returns the id and length of the inline payload that a row refers to, and false if it refers to none.
func PayloadOf(row disk.Row) (id disk.PayloadID, length uint64, ok bool, err error) {
	if len(row.Key) == 0 || keys.Column(row.Key[0]) != keys.Versions {
		return id, 0, false, nil
	}
	v := new(metapb.Version)
	if err := decode(row.Key, row.Value, v); err != nil {
		return id, 0, false, err
	}
	in := v.GetInline()
	if in == nil {
		return id, 0, false, nil
	}
	return payloadID(in), in.Length, true, nil
}

// Payloads calls fn for each inline payload that the rows of a range refer to, in the order of the rows, until it
// returns an error.
func Payloads(r disk.Reader, d *metapb.RangeDescriptor, fn func(id disk.PayloadID, length uint64) error) error {
	span, err := keys.ColumnSpan(keys.Versions, d.GetStart(), d.GetEnd())
	if err != nil {
		return err
	}
	return scan(r, span, func(row disk.Row) error {
		id, length, ok, err := PayloadOf(row)
		if err != nil || !ok {
			return err
		}
		return fn(id, length)
	})
}

func payloadID(in *metapb.Inline) disk.PayloadID {
	return disk.PayloadID{Range: in.Range, Term: in.Term, Index: in.Index, N: in.N}
}

// scan calls fn for each row of a span, in order, until it returns an error. The row is valid during the call.
func scan(r disk.Reader, s disk.Span, fn func(disk.Row) error) (err error) {
	it, err := r.Iter(s.Lower, s.Upper)
	if err != nil {
		return err
	}
	defer func() {
		if e := it.Close(); err == nil {
			err = e
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		if err := fn(disk.Row{Key: it.Key(), Value: it.Value()}); err != nil {
			return err
		}
	}
	return it.Err()
}

// errStop ends a scan early.
var errStop = errors.New("stop")

func ignoreStop(err error) error {
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

func damage(row []byte, why string) error { return fmt.Errorf("damaged row %x: %s", row, why) }
