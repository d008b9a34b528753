package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// kind is the type of a frame.
type kind uint8

// The kinds of frames. Numbers are part of the protocol.
const (
	kindHello    kind = 1
	kindPing     kind = 2
	kindPong     kind = 3
	kindRaft     kind = 4
	kindPropose  kind = 5
	kindQuery    kind = 6
	kindRows     kind = 7
	kindPayload  kind = 8
	kindRelease  kind = 9
	kindFetchMap kind = 10
	kindOfferMap kind = 11
	kindCancel   kind = 12

	kindResult        kind = 16
	kindAnswer        kind = 17
	kindRowsAnswer    kind = 18
	kindPayloadAnswer kind = 19
	kindMapAnswer     kind = 20
	kindFailure       kind = 21
)

const (
	headerBytes = 24
	kib         = 1 << 10
	mib         = 1 << 20
)

// frameMost returns the most bytes of body and of payload that a kind of frame may have; false for an unknown kind.
func frameMost(k kind) (body, payload uint32, ok bool) {
	switch k {
	case kindHello:
		return 64 * kib, 0, true
	case kindPing, kindPong:
		return 64, HealthBytesMax, true
	case kindRelease, kindFetchMap:
		return 64, 0, true
	case kindCancel:
		return 0, 0, true
	case kindRaft:
		return 32 * mib, 64 * mib, true
	case kindPropose:
		return 8 * mib, 16 * mib, true
	case kindQuery, kindRows:
		return 64 * kib, 0, true
	case kindPayload:
		return 128, 0, true
	case kindFailure:
		return 64 * kib, 0, true
	case kindOfferMap, kindMapAnswer:
		return 64, 64 * mib, true
	case kindResult, kindAnswer, kindRowsAnswer:
		return 32 * mib, 0, true
	case kindPayloadAnswer:
		return 0, 16 * mib, true
	}
	return 0, 0, false
}

// header is what stands before a frame:
//
//	0  length of the body, 4 bytes, little-endian as all
//	4  length of the payload, 4 bytes
//	8  id, 8 bytes: pairs an answer with its request; zero where there is none
//	16 for how long the sender waits for an answer, in milliseconds, 4 bytes; zero where there is none
//	20 kind, 1 byte
//	21 zero, 3 bytes
type header struct {
	body, payload uint32
	id            uint64
	wait          uint32
	kind          kind
}

// put writes the header into the first bytes of b.
func (h header) put(b []byte) {
	_ = b[headerBytes-1]
	binary.LittleEndian.PutUint32(b, h.body)
	binary.LittleEndian.PutUint32(b[4:], h.payload)
	binary.LittleEndian.PutUint64(b[8:], h.id)
	binary.LittleEndian.PutUint32(b[16:], h.wait)
	b[20], b[21], b[22], b[23] = byte(h.kind), 0, 0, 0
}

// parseHeader reads a header and judges it.
func parseHeader(b []byte) (header, error) {
	_ = b[headerBytes-1]
	h := header{
		body: binary.LittleEndian.Uint32(b), payload: binary.LittleEndian.Uint32(b[4:]),
		id: binary.LittleEndian.Uint64(b[8:]), wait: binary.LittleEndian.Uint32(b[16:]), kind: kind(b[20]),
	}
	if b[21]|b[22]|b[23] != 0 {
		return h, &ProtocolError{Reason: "a header's last bytes are not zero"}
	}
	return h, h.judge()
}

// judge refuses sizes beyond those of the kind, and unknown kinds.
func (h header) judge() error {
	body, payload, ok := frameMost(h.kind)
	switch {
	case !ok:
		return &ProtocolError{Reason: fmt.Sprintf("frame of unknown kind %d", h.kind)}
	case h.body > body || h.payload > payload:
		return &ProtocolError{Reason: fmt.Sprintf("frame of kind %d has %d+%d bytes, may have %d+%d", h.kind, h.body, h.payload, body, payload)}
	}
	return nil
}

// ProtocolError says that a peer does not keep to the protocol. It ends the connection.
type ProtocolError struct{ Reason string }

// Error prints the reason.
func (e *ProtocolError) Error() string { return "wire: " + e.Reason }

// message is a metapb message.
type message interface {
	SizeVT() int
	MarshalToSizedBufferVT([]byte) (int, error)
	UnmarshalVT([]byte) error
}

// appendFrame appends a frame without its payload's bytes. The header's lengths are filled in here. It fails where the frame would be too large, and where the
// message can't be encoded; then b comes back as it was.
func appendFrame(b []byte, h header, m message, payload int) ([]byte, error) {
	size := 0
	if m != nil {
		size = m.SizeVT()
	}
	body, most, _ := frameMost(h.kind)
	if uint64(size) > uint64(body) || uint64(payload) > uint64(most) {
		return b, &tooLargeError{kind: h.kind, body: size, payload: payload}
	}
	n := len(b)
	b = grow(b, headerBytes+size)
	h.body, h.payload = uint32(size), uint32(payload)
	h.put(b[n:])
	if size > 0 {
		if _, err := m.MarshalToSizedBufferVT(b[n+headerBytes:]); err != nil {
			return b[:n], fmt.Errorf("wire: encode frame of kind %d: %w", h.kind, err)
		}
	}
	return b, nil
}

// grow returns b with n more bytes, of any content.
func grow(b []byte, n int) []byte {
	if need := len(b) + n; need <= cap(b) {
		return b[:need]
	}
	c := make([]byte, len(b)+n, max(2*cap(b), len(b)+n))
	copy(c, b)
	return c
}

// tooLargeError says that something does not fit into a frame.
type tooLargeError struct {
	kind          kind
	body, payload int
}

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("wire: %d+%d bytes are too many for a frame of kind %d", e.body, e.payload, e.kind)
}

// frame is one that came.
type frame struct {
	header
	// body is valid until the next frame is read, unless owned.
	body  []byte
	owned bool
	// payload belongs to whoever gets the frame.
	payload []byte
}

// own makes the body independent of the reader.
func (f *frame) own() {
	if !f.owned {
		f.body, f.owned = append(make([]byte, 0, len(f.body)), f.body...), true
	}
}

const (
	readBufferBytes = 64 * kib
	// Bodies up to viewBytes are read in place.
	viewBytes = 16 * kib
	// What is announced as larger than stepBytes gets memory only as it comes.
	stepBytes = 1 * mib
)

// reader reads frames. One goroutine at a time.
type reader struct {
	from   io.Reader
	buf    []byte
	at, to int // what is buffered
}

func newReader(from io.Reader) *reader {
	return &reader{from: from, buf: make([]byte, readBufferBytes)}
}

// next reads a frame. io.EOF: the stream ended between two frames.
func (r *reader) next() (frame, error) {
	if err := r.fill(headerBytes); err != nil {
		return frame{}, err
	}
	h, err := parseHeader(r.buf[r.at:r.to])
	if err != nil {
		return frame{}, err
	}
	r.at += headerBytes
	f := frame{header: h}
	if h.body <= viewBytes {
		if err := r.fill(int(h.body)); err != nil {
			return frame{}, noEOF(err)
		}
		f.body = r.buf[r.at : r.at+int(h.body)]
		r.at += int(h.body)
	} else {
		f.owned = true
		if f.body, err = r.read(int(h.body)); err != nil {
			return frame{}, err
		}
	}
	if h.payload > 0 {
		// The body may be a view: reading on without it must not move what is buffered.
		if f.payload, err = r.read(int(h.payload)); err != nil {
			return frame{}, err
		}
	}
	return f, nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// fill has n bytes buffered. io.EOF only if there were none.
func (r *reader) fill(n int) error {
	if r.to-r.at >= n {
		return nil
	}
	if r.at == r.to {
		r.at, r.to = 0, 0
	}
	if len(r.buf)-r.at < n {
		r.to = copy(r.buf, r.buf[r.at:r.to])
		r.at = 0
	}
	for r.to-r.at < n {
		m, err := r.from.Read(r.buf[r.to:])
		r.to += m
		if err != nil && r.to-r.at < n {
			if r.to > r.at {
				return noEOF(err)
			}
			return err
		}
	}
	return nil
}

// read returns n bytes in memory of their own. It leaves the buffer's bytes where they are.
func (r *reader) read(n int) ([]byte, error) {
	b := make([]byte, 0, min(n, stepBytes))
	m := min(n, r.to-r.at)
	b = append(b, r.buf[r.at:r.at+m]...)
	r.at += m
	for len(b) < n {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(n, 2*cap(b))), b...)
		}
		m, err := r.from.Read(b[len(b):cap(b)])
		b = b[:len(b)+m]
		if err != nil && len(b) < n {
			return nil, noEOF(err)
		}
	}
	return b, nil
}
