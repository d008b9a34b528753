package compress

import (
	"bytes"
	"testing"
)

// FuzzFrame: no frame makes the decoder crash, take more memory than a block has, or give out a block of another size.
func FuzzFrame(f *testing.F) {
	c, err := newCoder()
	if err != nil {
		f.Fatal(err)
	}
	for _, how := range []codec{codecRaw, codecS2, codecZstd} {
		f.Add(c.frame(make([]byte, 0, frameMax(1000)), bytes.Repeat([]byte("abc "), 250), how), 1000)
	}
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, frame []byte, size int) {
		if size < 0 || size > blockBytesMax {
			return
		}
		if got, err := c.block(make([]byte, 0, size), frame, size); err == nil && len(got) != size {
			t.Errorf("%d bytes, want %d", len(got), size)
		}
	})
}
