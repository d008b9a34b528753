package trust

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// frameKind says what a frame of the join protocol holds.
type frameKind byte

const (
	frameHello   frameKind = 1 // joiner: kind of secret (1), token id (8), proof (32)
	frameProof   frameKind = 2 // member: proof (32)
	frameRequest frameKind = 3 // joiner: see request.encode
	frameReply   frameKind = 4 // member: see reply.encode
	frameRefusal frameKind = 5 // member: code (1), reason
)

// The most bytes of a join.
const (
	// WishesBytesMax bounds what a joiner may tell about itself.
	WishesBytesMax = 64 << 10
	// PayloadBytesMax bounds what a member may give to a joiner.
	PayloadBytesMax = 64 << 20

	frameHeader  = 5 // kind (1), length (4, big-endian)
	helloBytes   = 1 + 8 + 32
	proofBytes   = 32
	requestBytes = WishesBytesMax + 32<<10
	replyBytes   = PayloadBytesMax + 256<<10
	refusalBytes = 1 + reasonMax
)

// frameMax says how long each frame may be.
func frameMax(k frameKind) int {
	switch k {
	case frameHello:
		return helloBytes
	case frameProof:
		return proofBytes
	case frameRequest:
		return requestBytes
	case frameReply:
		return replyBytes
	case frameRefusal:
		return refusalBytes
	}
	return -1
}

// writeFrame writes a frame with one Write.
func writeFrame(w io.Writer, k frameKind, body []byte) error {
	if len(body) > frameMax(k) {
		return fmt.Errorf("frame %d of %d bytes, at most %d are allowed", k, len(body), frameMax(k))
	}
	b := make([]byte, 0, frameHeader+len(body))
	b = append(b, byte(k))
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	_, err := w.Write(append(b, body...))
	return err
}

// errFrame says that what came is no frame of this protocol, at this point of it.
var errFrame = errors.New("not the expected frame")

// readFrame reads a frame of one of the kinds wanted. It takes memory as bytes arrive, not as they are announced, and
// never more than twice what the kind allows.
func readFrame(r io.Reader, want ...frameKind) (frameKind, []byte, error) {
	var h [frameHeader]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	k, n := frameKind(h[0]), binary.BigEndian.Uint32(h[1:])
	if !bytes.Contains(kindBytes(want), h[:1]) || int64(n) > int64(frameMax(k)) {
		return 0, nil, fmt.Errorf("%w: kind %d of %d bytes", errFrame, k, n)
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, int64(n)); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return k, b.Bytes(), nil
}

func kindBytes(ks []frameKind) []byte {
	b := make([]byte, len(ks))
	for i, k := range ks {
		b[i] = byte(k)
	}
	return b
}

// appendField appends bytes with their length (4, big-endian) in front.
func appendField(b, field []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(field)))
	return append(b, field...)
}

// fields takes apart what appendField put together. After the first error all fields are empty.
type fields struct {
	rest []byte
	err  error
}

func (f *fields) next() []byte {
	if f.err == nil && (len(f.rest) < 4 || uint64(binary.BigEndian.Uint32(f.rest)) > uint64(len(f.rest)-4)) {
		f.err = fmt.Errorf("%w: a field is cut", errFrame)
	}
	if f.err != nil {
		return nil
	}
	n := binary.BigEndian.Uint32(f.rest)
	field := f.rest[4 : 4+n : 4+n]
	f.rest = f.rest[4+n:]
	return field
}

// list returns as many fields as the next field, of one byte, says.
func (f *fields) list(most int) [][]byte {
	n := f.next()
	if f.err == nil && (len(n) != 1 || int(n[0]) > most) {
		f.err = fmt.Errorf("%w: a list is too long", errFrame)
	}
	if f.err != nil {
		return nil
	}
	var out [][]byte
	for range n[0] {
		out = append(out, f.next())
	}
	return out
}

// end returns the first error; bytes that are left are one.
func (f *fields) end() error {
	if f.err == nil && len(f.rest) > 0 {
		f.err = fmt.Errorf("%w: %d bytes too many", errFrame, len(f.rest))
	}
	return f.err
}

func appendList(b []byte, list [][]byte) []byte {
	b = appendField(b, []byte{byte(len(list))})
	for _, f := range list {
		b = appendField(b, f)
	}
	return b
}
