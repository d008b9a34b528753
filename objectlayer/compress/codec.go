package compress

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// Ways to compress, as users and buckets' records name them.
const (
	None = "none"
	S2   = "s2"   // https://github.com/klauspost/compress/tree/master/s2: little CPU
	Zstd = "zstd" // RFC 8878: smaller
)

// Check refuses what names no way. Nothing means None.
func Check(how string) error {
	switch how {
	case "", None, S2, Zstd:
		return nil
	}
	return fmt.Errorf("compression %q: want %s, %s or %s", how, None, S2, Zstd)
}

// codec is how a frame was made; the numbers are kept.
type codec byte

const (
	codecRaw  codec = 0
	codecS2   codec = 1
	codecZstd codec = 2
)

func codecOf(how string) codec {
	switch how {
	case S2:
		return codecS2
	case Zstd:
		return codecZstd
	}
	return codecRaw
}

// A frame's header: 'C', the codec, two bytes of zero, the length of the bytes that follow and that of the block, big-endian.
const (
	headerBytes = 12
	headerMagic = 'C'
)

// spared is what a frame must be smaller than its block by, or the block is kept as it is: one part of so many.
const spared = 16

// coder makes frames of blocks and blocks of frames. It is safe for concurrent use.
type coder struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newCoder() (*coder, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(2*blockBytesMax))
	if err != nil {
		return nil, err
	}
	return &coder{enc, dec}, nil
}

// frame appends the frame of a block to dst, which must have room for frameMax(len(block)).
func (c *coder) frame(dst, block []byte, how codec) []byte {
	head := len(dst)
	dst = append(dst, headerMagic, byte(how), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	body := len(dst)
	switch how {
	case codecS2:
		dst = dst[:body+len(s2.Encode(dst[body:cap(dst)], block))]
	case codecZstd:
		dst = c.enc.EncodeAll(block, dst)
	}
	if how == codecRaw || len(dst)-body > len(block)-len(block)/spared {
		dst[head+1] = byte(codecRaw)
		dst = append(dst[:body], block...)
	}
	binary.BigEndian.PutUint32(dst[head+4:], uint32(len(dst)-body))
	binary.BigEndian.PutUint32(dst[head+8:], uint32(len(block)))
	return dst
}

// frameMax is the most bytes that the making of a frame takes.
func frameMax(block int) int { return headerBytes + max(block, s2.MaxEncodedLen(block)) + 1024 }

var errFrame = errors.New("a compressed frame that makes no sense")

// block returns the block of a frame, of so many bytes, in dst if that has room. The frame may be what it returns a part of.
func (c *coder) block(dst, frame []byte, size int) ([]byte, error) {
	if len(frame) < headerBytes || frame[0] != headerMagic || frame[2] != 0 || frame[3] != 0 {
		return nil, errFrame
	}
	body := frame[headerBytes:]
	if binary.BigEndian.Uint32(frame[4:]) != uint32(len(body)) || binary.BigEndian.Uint32(frame[8:]) != uint32(size) {
		return nil, errFrame
	}
	var err error
	switch codec(frame[1]) {
	case codecRaw:
		dst = body
	case codecS2:
		if n, e := s2.DecodedLen(body); e != nil || n != size {
			return nil, errFrame
		}
		dst, err = s2.Decode(dst[:cap(dst)], body)
	case codecZstd:
		dst, err = c.dec.DecodeAll(body, dst[:0])
	default:
		return nil, errFrame
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFrame, err)
	}
	if len(dst) != size {
		return nil, errFrame
	}
	return dst, nil
}
