package stripe

import (
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"io"
	"sync"
	"syscall"
	"testing"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/clustermap"
	"github.com/contender/contender/objectlayer/placement"
)

// sink is a disk that takes everything, keeps nothing, and reads one piece of memory over and over.
type sink struct{ data []byte }

func (s sink) Disk(disk.ID) (disk.Store, error) { return s, nil }
func (s sink) Create(context.Context, disk.ShardID, disk.Epoch) (disk.Writer, error) {
	return s, nil
}
func (s sink) Append(context.Context, []byte) error          { return nil }
func (s sink) Commit(context.Context, []byte) error          { return nil }
func (s sink) Abort()                                        {}
func (s sink) Delete(context.Context, ...disk.ShardID) error { return nil }
func (s sink) Info(context.Context, disk.ShardID) (disk.ShardInfo, error) {
	return disk.ShardInfo{}, nil
}

func (s sink) Get(_ context.Context, _ disk.ShardID, _, n int64) (io.ReadCloser, error) {
	return io.NopCloser(&endless{s.data, n}), nil
}

type endless struct {
	data []byte
	left int64
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), e.left)], e.data)
	e.left -= int64(n)
	return n, nil
}

type fixedMap struct{ m *clustermap.Map }

func (f fixedMap) Map() *clustermap.Map     { return f.m }
func (f fixedMap) Changed() <-chan struct{} { return nil }

func benchStore(b *testing.B, c placement.Coding, unit int, dead int) (*Store, Request) {
	r := newRig(b, c.K+c.M, c, 1)
	n := 0
	gone := sync.OnceValue(func() map[disk.ID]bool {
		list := map[disk.ID]bool{}
		for _, s := range r.m.Groups[0].Slots[:dead] {
			list[s.Owner] = true
		}
		return list
	})
	m := r.m.Clone()
	m.Groups = m.Groups[:1]
	s, err := New(Options{
		Fleet: sink{make([]byte, 64<<10)}, Topology: fixedMap{m}, UnitBytes: unit,
		Alive: func(id disk.ID) bool { return n == 0 || !gone()[id] },
	})
	if err != nil {
		b.Fatal(err)
	}
	q := r.request()
	b.Cleanup(func() { n = 0 })
	if dead > 0 {
		q.Finish = func() error { n = 1; return nil }
	}
	return s, q
}

// cpu returns the CPU time of this process in seconds.
func cpu() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

var benchCodings = []placement.Coding{{K: 2, M: 1}, {K: 4, M: 2}, {K: 8, M: 3}}

func BenchmarkWrite(b *testing.B) {
	body := noise(64 << 20)
	for _, md := range []bool{false, true} {
		for _, c := range benchCodings {
			for _, unit := range []int{64 << 10, 128 << 10, 256 << 10} {
				for _, size := range []int{100 << 10, 1 << 20, 64 << 20} {
					if (md || size < 64<<20) && unit != 64<<10 {
						continue
					}
					b.Run(fmt.Sprintf("%v/unit=%dK/size=%dK/md5=%v", c, unit>>10, size>>10, md), func(b *testing.B) {
						s, q := benchStore(b, c, unit, 0)
						q.Size = int64(size)
						if md {
							q.Hashes = []io.Writer{md5.New()}
						}
						b.SetBytes(int64(size))
						b.ReportAllocs()
						start := cpu()
						for b.Loop() {
							if _, err := s.Write(b.Context(), q, bytes.NewReader(body[:size])); err != nil {
								b.Fatal(err)
							}
						}
						b.ReportMetric((cpu()-start)/float64(b.N)/float64(size)*(1<<30), "cpu-s/GiB")
					})
				}
			}
		}
	}
}

func BenchmarkRead(b *testing.B) {
	body := noise(64 << 20)
	for _, c := range benchCodings {
		for dead := range c.M + 1 {
			for _, size := range []int{4 << 10, 1 << 20, 64 << 20} {
				b.Run(fmt.Sprintf("%v/lost=%d/size=%dK", c, dead, size>>10), func(b *testing.B) {
					s, q := benchStore(b, c, 64<<10, dead)
					blob, err := s.Write(b.Context(), q, bytes.NewReader(body))
					if err != nil {
						b.Fatal(err)
					}
					b.SetBytes(int64(size))
					b.ReportAllocs()
					start := cpu()
					for b.Loop() {
						rc, err := s.Open(b.Context(), blob, 0, int64(size))
						if err != nil {
							b.Fatal(err)
						}
						if _, err := rc.(io.WriterTo).WriteTo(io.Discard); err != nil {
							b.Fatal(err)
						}
						rc.Close()
					}
					b.ReportMetric((cpu()-start)/float64(b.N)/float64(size)*(1<<30), "cpu-s/GiB")
				})
			}
		}
	}
}
