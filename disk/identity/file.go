package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/contender/contender/disk"
)

// Format is the format that this version writes. Any change of the fields raises it.
const Format = 1

// maxBytes is more than any identity file has.
const maxBytes = 16 << 10

// State says how far a folder has come.
type State string

// The states of a folder.
const (
	// Founding: the folder was prepared, and its cluster does not count on it yet. It may be founded anew.
	Founding State = "founding"
	// Member: the cluster knows the disk.
	Member State = "member"
)

// Mount is how the folder lay in the file system when it was founded.
type Mount struct {
	Device uint64 // st_dev of the folder
	Parent uint64 // st_dev of its parent
	Known  bool   // false if there was nobody to ask; then the other two say nothing
}

// Own reports whether the folder was a mount of its own.
func (m Mount) Own() bool { return m.Known && m.Device != m.Parent }

// File is the content of an identity file.
type File struct {
	Format       int
	Cluster      disk.ClusterID
	Disk         disk.ID
	Boot         uint64 // how often the disk was opened; 0 when it is founded
	State        State
	Created      time.Time // in UTC, to the second
	SegmentBytes int64     // size of each segment of the log
	Mount        Mount
}

// wire is the JSON form. Big numbers are strings, so that no tool rounds them.
type wire struct {
	Format       int       `json:"format"`
	Cluster      string    `json:"cluster"`
	Disk         string    `json:"disk"`
	Boot         uint64    `json:"boot,string"`
	State        State     `json:"state"`
	Created      time.Time `json:"created"`
	SegmentBytes int64     `json:"segment_bytes"`
	Mount        *mount    `json:"mount,omitempty"`
}

type mount struct {
	Device uint64 `json:"device,string"`
	Parent uint64 `json:"parent,string"`
}

// Encode returns the bytes of the file. It fails if a field makes no sense.
func (f File) Encode() ([]byte, error) {
	if err := f.validate(); err != nil {
		return nil, err
	}
	w := wire{
		Format: f.Format, Cluster: f.Cluster.String(), Disk: f.Disk.String(), Boot: f.Boot, State: f.State,
		Created: f.Created.UTC().Truncate(time.Second), SegmentBytes: f.SegmentBytes,
	}
	if f.Mount.Known {
		w.Mount = &mount{f.Mount.Device, f.Mount.Parent}
	}
	line, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return fmt.Appendf(nil, "%s\nxxh3 %016x\n", line, xxh3.Hash(line)), nil
}

// Decode reads what Encode wrote. Its errors are ErrDamaged and ErrFutureFormat, with a reason.
func Decode(b []byte) (f File, err error) {
	line, rest, ok := bytes.Cut(b, []byte("\n"))
	if !ok || string(rest) != fmt.Sprintf("xxh3 %016x\n", xxh3.Hash(line)) {
		return f, fmt.Errorf("%w: wrong checksum", ErrDamaged)
	}
	var format struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(line, &format); err != nil {
		return f, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if format.Format > Format {
		return f, fmt.Errorf("%w: format %d, this version knows %d", ErrFutureFormat, format.Format, Format)
	}
	var w wire
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		return f, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if f, err = w.file(); err == nil {
		err = f.validate()
	}
	if err != nil {
		return File{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return f, nil
}

func (w wire) file() (f File, err error) {
	f = File{Format: w.Format, Boot: w.Boot, State: w.State, Created: w.Created.UTC(), SegmentBytes: w.SegmentBytes}
	if f.Cluster, err = disk.ParseClusterID(w.Cluster); err != nil {
		return f, err
	}
	if f.Disk, err = disk.ParseID(w.Disk); err != nil {
		return f, err
	}
	if w.Mount != nil {
		f.Mount = Mount{Device: w.Mount.Device, Parent: w.Mount.Parent, Known: true}
	}
	return f, nil
}

func (f File) validate() error {
	switch {
	case f.Format != Format:
		return fmt.Errorf("format %d", f.Format)
	case f.Cluster == disk.ClusterID{}:
		return errors.New("no cluster")
	case f.Disk == 0:
		return errors.New("no disk")
	case f.State != Founding && f.State != Member:
		return fmt.Errorf("state %q", f.State)
	case f.SegmentBytes <= 0:
		return fmt.Errorf("segments of %d bytes", f.SegmentBytes)
	case f.Created.Year() < 1 || f.Created.Year() > 9999:
		return fmt.Errorf("created %v", f.Created)
	}
	return nil
}
