package compress_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/compress"
	"github.com/contender/contender/objectlayer/objecttest"
)

const name = "bucket"

func newLayer(t testing.TB, how string) *objecttest.Layer {
	t.Helper()
	l := objecttest.New(t, objecttest.Options{ExtentBytes: 1 << 20, PartBytesMin: 1})
	err := compress.Check(how)
	if err == nil {
		_, err = l.Buckets.Create(t.Context(), objectlayer.Bucket{Name: name, Placement: objectlayer.Placement{Compress: how}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// text becomes much smaller, noise does not, and a mixture has blocks of both kinds.
func text(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "line %d of a log that says the same again and again\n", i)
	}
	return b.Bytes()[:n]
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{5}).Read(b) //nolint:errcheck // never fails
	return b
}

func mixture(n int) []byte {
	b := noise(n)
	copy(b[n/4:], text(n/2))
	return b
}

func put(t testing.TB, l *objecttest.Layer, key string, data []byte, size int64) objectlayer.Version {
	t.Helper()
	v, err := l.Objects.Put(t.Context(), objectlayer.PutRequest{Bucket: name, Key: key, Size: size}, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// read reads a range, through Read or WriteTo.
func read(t testing.TB, l *objecttest.Layer, key string, first, last int64, through func(io.Reader) ([]byte, error)) []byte {
	t.Helper()
	rd, err := l.Objects.Get(t.Context(), objectlayer.GetRequest{Bucket: name, Key: key, Range: &objectlayer.Range{First: first, Last: last}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := through(rd.Body)
	if err := errors.Join(err, rd.Body.Close()); err != nil {
		t.Fatalf("%s, bytes %d to %d: %v", key, first, last, err)
	}
	return b
}

func written(r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	_, err := io.Copy(&b, r)
	return b.Bytes(), err
}

// stored returns the blobs of an object.
func stored(t testing.TB, l *objecttest.Layer, key string) (list []*metapb.Blob) {
	t.Helper()
	a, _, err := l.Resolver.Query(t.Context(), "get", name, key, &metapb.Query{Op: &metapb.Query_Get{Get: &metapb.GetVersion{}}})
	if err != nil || a.Status != metapb.Status_OK {
		t.Fatalf("%v, %v", a, err)
	}
	if b := a.Version.GetBlob(); b != nil {
		list = append(list, b)
	}
	for _, p := range a.Version.Parts {
		list = append(list, p.Blob)
	}
	return list
}

// TestRoundTrip: what is compressed reads as it was written, whole and in ranges, with the ETag and size of what was written, and
// takes less room if it can.
func TestRoundTrip(t *testing.T) {
	plain := newLayer(t, "")
	for _, how := range []string{compress.S2, compress.Zstd} {
		l := newLayer(t, how)
		r := rand.New(rand.NewPCG(1, 2))
		for kind, make := range map[string]func(int) []byte{"text": text, "noise": noise, "mixture": mixture} {
			for _, n := range []int{0, 100, 16<<10 + 1, 128 << 10, 128<<10 + 1, 1 << 20, 5<<20 + 77} {
				for _, size := range []int64{int64(n), -1} {
					key, data := fmt.Sprint(kind, n, size), make(n)
					v, w := put(t, l, key, data, size), put(t, plain, key, data, size)
					if v.ETag != w.ETag || v.Size != int64(n) {
						t.Errorf("%s %s: ETag %v and size %d, want %v and %d", how, key, v.ETag, v.Size, w.ETag, n)
					}
					if n == 0 {
						continue
					}
					for range 12 {
						a, b := r.Int64N(int64(n)), r.Int64N(int64(n))
						first, last := min(a, b), max(a, b)
						for _, through := range []func(io.Reader) ([]byte, error){io.ReadAll, written} {
							if got := read(t, l, key, first, last, through); !bytes.Equal(got, data[first:last+1]) {
								t.Errorf("%s %s: bytes %d to %d came otherwise", how, key, first, last)
							}
						}
					}
					if got := read(t, l, key, 0, int64(n)-1, io.ReadAll); !bytes.Equal(got, data) {
						t.Errorf("%s %s came otherwise", how, key)
					}
					for _, b := range stored(t, l, key) {
						switch c := b.Compression; {
						case c == nil:
							t.Errorf("%s %s is not compressed", how, key)
						case kind == "text" && b.Length > c.Length/4, kind == "mixture" && n > 1<<20 && b.Length > c.Length*3/4, b.Length > c.Length+c.Length/1000+12:
							t.Errorf("%s %s: %d of %d bytes are kept", how, key, b.Length, c.Length)
						}
					}
				}
			}
		}
	}
}

// TestPartsOfAllKinds: an upload whose parts came while the bucket's way to compress changed is one object.
func TestPartsOfAllKinds(t *testing.T) {
	l := newLayer(t, compress.Zstd)
	u, err := l.Uploads.Create(t.Context(), objectlayer.UploadRequest{Bucket: name, Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	var whole []byte
	var parts []objectlayer.CompletedPart
	for i, how := range []string{compress.S2, compress.None, compress.None, compress.Zstd, "", compress.S2} {
		if err := l.Buckets.SetPlacement(t.Context(), name, objectlayer.Placement{Compress: how}); err != nil {
			t.Fatal(err)
		}
		data := mixture(300_000 + 7*i)
		p, err := l.Uploads.PutPart(t.Context(), objectlayer.PartRequest{
			Bucket: name, Key: "k", UploadID: u.ID, Number: i + 1, Size: int64(len(data)),
		}, bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		whole = append(whole, data...)
		parts = append(parts, objectlayer.CompletedPart{Number: i + 1, ETag: p.ETag.String()})
	}
	if _, err := l.Uploads.Complete(t.Context(), objectlayer.CompleteRequest{Bucket: name, Key: "k", UploadID: u.ID, Parts: parts}); err != nil {
		t.Fatal(err)
	}
	compressed := 0
	for _, b := range stored(t, l, "k") {
		if b.Compression != nil {
			compressed++
		}
	}
	if compressed != 3 {
		t.Errorf("%d of 6 parts are compressed, want 3", compressed)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		a, b := r.Int64N(int64(len(whole))), r.Int64N(int64(len(whole)))
		first, last := min(a, b), max(a, b)
		for _, through := range []func(io.Reader) ([]byte, error){io.ReadAll, written} {
			if got := read(t, l, "k", first, last, through); !bytes.Equal(got, whole[first:last+1]) {
				t.Fatalf("bytes %d to %d came otherwise", first, last)
			}
		}
	}
}

// broken fails after so many bytes.
type broken struct {
	io.Reader
	err error
}

func (b *broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = b.err
	}
	return n, err
}

// TestBrokenBody: a body that fails, or that is not what was announced, leaves nothing behind and says so as it does without compression.
func TestBrokenBody(t *testing.T) {
	l := newLayer(t, compress.S2)
	cause := errors.New("the client went away")
	_, err := l.Objects.Put(t.Context(), objectlayer.PutRequest{Bucket: name, Key: "k", Size: 4 << 20}, &broken{bytes.NewReader(noise(3 << 20)), cause})
	if !errors.Is(err, cause) || objectlayer.KindOf(err) != objectlayer.KindIncompleteBody {
		t.Errorf("a body that breaks off: %v", err)
	}
	wrong := [16]byte{1}
	_, err = l.Objects.Put(t.Context(), objectlayer.PutRequest{
		Bucket: name, Key: "k", Size: 3 << 20, Expect: objectlayer.Expect{MD5: wrong[:]},
	}, bytes.NewReader(noise(3<<20)))
	if objectlayer.KindOf(err) != objectlayer.KindBadDigest {
		t.Errorf("a body that is not as announced: %v", err)
	}
	if n := l.Shards(t); n != 0 {
		t.Errorf("%d shards are left", n)
	}
}

// TestDamagedIndex: a record that makes no sense is damage, never a crash and never other bytes.
func TestDamagedIndex(t *testing.T) {
	l := newLayer(t, compress.Zstd)
	data := text(1 << 20)
	put(t, l, "k", data, int64(len(data)))
	for what, change := range map[string]func(c *metapb.Compression){
		"no blocks":         func(c *metapb.Compression) { c.BlockBytes = 0 },
		"huge blocks":       func(c *metapb.Compression) { c.BlockBytes = 1 << 31 },
		"other blocks":      func(c *metapb.Compression) { c.BlockBytes /= 2 },
		"a frame less":      func(c *metapb.Compression) { c.Frames = c.Frames[1:] },
		"a frame longer":    func(c *metapb.Compression) { c.Frames[0]++ },
		"a huge frame":      func(c *metapb.Compression) { c.Frames[0] = 1 << 31 },
		"a frame of none":   func(c *metapb.Compression) { c.Frames[2] = 0 },
		"the body longer":   func(c *metapb.Compression) { c.Length += 1 << 20 },
		"the body shorter":  func(c *metapb.Compression) { c.Length -= 3 },
		"frames exchanged":  func(c *metapb.Compression) { c.Frames[0], c.Frames[1] = c.Frames[1]+5, c.Frames[0]-5 },
		"a body of nothing": func(c *metapb.Compression) { c.Length = 0 },
	} {
		b := stored(t, l, "k")[0].CloneVT()
		change(b.Compression)
		r, err := l.Packed.OpenParts(t.Context(), []*metapb.Blob{b}, 0, int64(len(data))-3)
		var got []byte
		if err == nil {
			got, err = io.ReadAll(r)
			r.Close()
		}
		if kind := objectlayer.KindOf(err); err == nil || kind != objectlayer.KindDamaged && kind != objectlayer.KindInvalidRange {
			t.Errorf("%s: %d bytes, %v", what, len(got), err)
		}
		if !bytes.Equal(got, data[:len(got)]) {
			t.Errorf("%s: other bytes", what)
		}
	}
}
