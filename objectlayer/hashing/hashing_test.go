package hashing_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/hashing"
)

// check is the text whose checksums catalogues of CRCs list.
const check = "123456789"

var known = map[string]string{
	hashing.CRC32:     "cbf43926",
	hashing.CRC32C:    "e3069283",
	hashing.CRC64NVME: "ae8b14860a799888",
	hashing.SHA1:      "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
	hashing.SHA256:    "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
}

func TestKnownValues(t *testing.T) {
	for algorithm, want := range known {
		s, err := hashing.NewSums(algorithm)
		if err != nil {
			t.Fatal(err)
		}
		for _, piece := range []string{check[:4], "", check[4:]} {
			if n, err := io.WriteString(s, piece); n != len(piece) || err != nil {
				t.Fatal(n, err)
			}
		}
		md5 := s.MD5()
		if got := s.Checksums(); len(got) != 1 || got[0].Algorithm != algorithm || hex.EncodeToString(got[0].Value) != want || got[0].Parts != 0 {
			t.Errorf("%s: %+v", algorithm, got)
		}
		if hex.EncodeToString(md5[:]) != "25f9e794323b453885f5181f1b624d0b" || s.Size() != 9 {
			t.Errorf("%s: %x of %d", algorithm, md5, s.Size())
		}
	}
}

func TestSeveralAtOnce(t *testing.T) {
	s, err := hashing.NewSums("", hashing.CRC64NVME, hashing.SHA1, hashing.SHA1)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(s, check) //nolint:errcheck // never fails
	got := s.Checksums()
	if len(got) != 2 || got[0].Algorithm != hashing.CRC64NVME || hex.EncodeToString(got[1].Value) != known[hashing.SHA1] {
		t.Fatalf("%+v", got)
	}
	_, err = hashing.NewSums("", "md4")
	wantKind(t, err, objectlayer.KindInvalidArgument)
}

func wantKind(t testing.TB, err error, want objectlayer.Kind) {
	t.Helper()
	if err == nil || objectlayer.KindOf(err) != want {
		t.Fatalf("%v, want %v", err, want)
	}
}

func TestVerify(t *testing.T) {
	s, err := hashing.NewSums(hashing.CRC32)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(s, check) //nolint:errcheck // never fails
	md5 := s.MD5()
	right, _ := hex.DecodeString(known[hashing.CRC32])
	value := func(b []byte, err error) func() ([]byte, error) { return func() ([]byte, error) { return b, err } }
	for _, e := range []objectlayer.Expect{{}, {MD5: md5[:]}, {Value: value(nil, nil)}, {MD5: md5[:], Value: value(right, nil)}} {
		if err := s.Verify(e); err != nil {
			t.Errorf("%+v: %v", e, err)
		}
	}
	own := &objectlayer.Error{Kind: objectlayer.KindInvalidRequest}
	for _, c := range []struct {
		e    objectlayer.Expect
		want objectlayer.Kind
	}{
		{objectlayer.Expect{MD5: md5[1:]}, objectlayer.KindBadDigest},
		{objectlayer.Expect{MD5: []byte{}}, objectlayer.KindBadDigest},
		{objectlayer.Expect{Value: value([]byte{}, nil)}, objectlayer.KindBadDigest},
		{objectlayer.Expect{Value: value(right[1:], nil)}, objectlayer.KindBadDigest},
		{objectlayer.Expect{Value: value(nil, errors.New("no trailer"))}, objectlayer.KindIncompleteBody},
		{objectlayer.Expect{Value: value(nil, own)}, objectlayer.KindInvalidRequest},
	} {
		wantKind(t, s.Verify(c.e), c.want)
	}
}

func TestBody(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name        string
		body        io.Reader
		size, limit int64
		want        objectlayer.Kind // KindInternal: none
	}{
		{"exact", strings.NewReader(check), 9, 100, 0},
		{"unknown size", strings.NewReader(check), -1, 9, 0},
		{"end with the data", iotest.DataErrReader(strings.NewReader(check)), 9, 9, 0},
		{"byte by byte", iotest.OneByteReader(strings.NewReader(check)), 9, 9, 0},
		{"empty", strings.NewReader(""), 0, 9, 0},
		{"short", strings.NewReader(check), 10, 100, objectlayer.KindIncompleteBody},
		{"short, end with the data", iotest.DataErrReader(strings.NewReader(check)), 10, 100, objectlayer.KindIncompleteBody},
		{"long", strings.NewReader(check), 8, 100, objectlayer.KindIncompleteBody},
		{"too large", strings.NewReader(check), -1, 8, objectlayer.KindEntityTooLarge},
		{"broken", iotest.ErrReader(broken), -1, 8, objectlayer.KindIncompleteBody},
		{"cut off", iotest.ErrReader(io.ErrUnexpectedEOF), -1, 8, objectlayer.KindIncompleteBody},
		{"own error", iotest.ErrReader(&objectlayer.Error{Kind: objectlayer.KindBadDigest}), -1, 8, objectlayer.KindBadDigest},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := hashing.NewBody(c.body, c.size, c.limit)
			data, err := io.ReadAll(b)
			if c.want == 0 {
				if err != nil || b.Err() != nil || len(data) != max(int(c.size), len(data)) {
					t.Fatalf("%q %v", data, err)
				}
				return
			}
			wantKind(t, err, c.want)
			if b.Err() != err { //nolint:errorlint // the very same
				t.Fatalf("%v, %v", b.Err(), err)
			}
			if n, again := b.Read(make([]byte, 1)); n != 0 || again != err { //nolint:errorlint // the very same
				t.Fatalf("it goes on: %d, %v", n, again)
			}
		})
	}
	_, err := io.ReadAll(hashing.NewBody(iotest.ErrReader(broken), -1, 8))
	if !errors.Is(err, broken) {
		t.Fatalf("%v does not carry its cause", err)
	}
}

func TestSource(t *testing.T) {
	if data, err := io.ReadAll(hashing.Source(strings.NewReader(check), "b", "k")); string(data) != check || err != nil {
		t.Fatalf("%q %v", data, err)
	}
	_, err := io.ReadAll(hashing.NewBody(hashing.Source(iotest.ErrReader(errors.New("what")), "b", "k"), -1, 9))
	wantKind(t, err, objectlayer.KindInternal)
}

func TestComposite(t *testing.T) {
	for algorithm := range known {
		composite, full := hashing.Composite(algorithm)
		if !composite && !full {
			t.Errorf("%s makes no checksum of an upload", algorithm)
		}
	}
	if composite, full := hashing.Composite("md4"); composite || full {
		t.Error("md4 is known")
	}
}

func BenchmarkSums(b *testing.B) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB
	for _, algorithm := range []string{hashing.CRC32, hashing.CRC64NVME, hashing.SHA256} {
		b.Run(algorithm, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				s, err := hashing.NewSums(algorithm)
				if err != nil {
					b.Fatal(err)
				}
				for chunk := 0; chunk < len(data); chunk += 128 << 10 {
					s.Write(data[chunk : chunk+128<<10]) //nolint:errcheck // never fails
				}
				_ = s.MD5()
			}
		})
	}
}
