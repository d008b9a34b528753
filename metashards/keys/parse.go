package keys

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrDamaged is the cause of every error of the parse functions for rows: the bytes are no row of that kind.
var ErrDamaged = errors.New("damaged row key")

func damaged(row []byte, why string) error { return fmt.Errorf("%w %x: %s", ErrDamaged, row, why) }

// Row is a parsed key of a row in a column that is ordered by position.
type Row struct {
	Column Column
	Bucket uint64
	Key    []byte // a copy
	Suffix []byte // a part of the parsed bytes
}

// Parse splits the key of a row in a column that is ordered by position. The suffix is not judged.
func Parse(row []byte) (Row, error) {
	if len(row) < 1+bucketLen+terminatorLen {
		return Row{}, damaged(row, "too short")
	}
	r := Row{Column: Column(row[0]), Bucket: binary.BigEndian.Uint64(row[1:])}
	if r.Column < firstColumn || r.Column > lastColumn {
		return Row{}, damaged(row, "unknown column")
	}
	rest := row[1+bucketLen:]
	r.Key = make([]byte, 0, len(rest))
	for {
		i := bytes.IndexByte(rest, escape)
		if i < 0 || i+1 == len(rest) {
			return Row{}, damaged(row, "key without end")
		}
		r.Key = append(r.Key, rest[:i]...)
		mark := rest[i+1]
		rest = rest[i+terminatorLen:]
		switch mark {
		case terminator:
			r.Suffix = rest
			return r, nil
		case escaped:
			r.Key = append(r.Key, escape)
		default:
			return Row{}, damaged(row, "bad escape")
		}
	}
}

// parse is Parse for a row of one column with a suffix of one of the given lengths.
func parse(row []byte, c Column, suffixLens ...int) (Row, error) {
	r, err := Parse(row)
	if err != nil {
		return r, err
	}
	if r.Column != c {
		return r, damaged(row, "another column")
	}
	for _, n := range suffixLens {
		if len(r.Suffix) == n {
			return r, nil
		}
	}
	return r, damaged(row, "suffix of a wrong length")
}

// ParseKey parses the row of a key in a column without suffix.
func ParseKey(row []byte, c Column) (bucket uint64, key []byte, err error) {
	r, err := parse(row, c, 0)
	return r.Bucket, r.Key, err
}

// ParseVersion parses a row of Versions.
func ParseVersion(row []byte) (bucket uint64, key []byte, time uint64, err error) {
	r, err := parse(row, Versions, timeLen)
	if err != nil {
		return 0, nil, 0, err
	}
	return r.Bucket, r.Key, ^binary.BigEndian.Uint64(r.Suffix), nil
}

// ParseUpload parses a row of Uploads. For a part's row, isPart is true and part its number.
func ParseUpload(row []byte) (r Row, upload []byte, part uint32, isPart bool, err error) {
	r, err = parse(row, Uploads, uploadLen, uploadLen+partLen)
	if err != nil {
		return Row{}, nil, 0, false, err
	}
	upload = r.Suffix[:uploadLen]
	if len(r.Suffix) == uploadLen {
		return r, upload, 0, false, nil
	}
	return r, upload, binary.BigEndian.Uint32(r.Suffix[uploadLen:]), true, nil
}

// ParseBlob parses a row of Blobs.
func ParseBlob(row []byte) (bucket uint64, key, blob []byte, err error) {
	r, err := parse(row, Blobs, blobLen)
	return r.Bucket, r.Key, r.Suffix, err
}

// ParseOutbox parses a row of Outbox.
func ParseOutbox(row []byte) (r Row, notBefore, n uint64, err error) {
	r, err = parse(row, Outbox, outboxLen)
	if err != nil {
		return Row{}, 0, 0, err
	}
	return r, binary.BigEndian.Uint64(r.Suffix), binary.BigEndian.Uint64(r.Suffix[timeLen:]), nil
}

// LocalRow is a parsed key of a row of a range itself.
type LocalRow struct {
	Range                           uint64
	Descriptor, State, Fence, Usage bool   // exactly one is true
	Bucket                          uint64 // of a fence or usage
}

// ParseLocal parses a row of Local.
func ParseLocal(row []byte) (LocalRow, error) {
	if len(row) < localLen || Column(row[0]) != Local {
		return LocalRow{}, damaged(row, "no row of a range")
	}
	r := LocalRow{Range: binary.BigEndian.Uint64(row[1:])}
	want := localLen
	switch row[localLen-1] {
	case kindDescriptor:
		r.Descriptor = true
	case kindState:
		r.State = true
	case kindFence:
		r.Fence, want = true, localLen+bucketLen
	case kindUsage:
		r.Usage, want = true, localLen+bucketLen
	default:
		return LocalRow{}, damaged(row, "unknown kind")
	}
	if len(row) != want {
		return LocalRow{}, damaged(row, "wrong length")
	}
	if want > localLen {
		r.Bucket = binary.BigEndian.Uint64(row[localLen:])
	}
	return r, nil
}
