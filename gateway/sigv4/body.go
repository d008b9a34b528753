package sigv4

import (
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"

	sha256 "github.com/minio/sha256-simd"

	"github.com/contender/contender/gateway/wire"
)

// BodyReader gives the bytes of an object out of a request's body, and
// verifies them. The last byte is withheld until all is verified; after an
// error nothing more is given. It is not safe for concurrent use.
type BodyReader struct {
	src    source
	length int64
	given  int64
	err    error // what every further Read returns
}

// source is one form of body below BodyReader.
type source interface {
	// read fills p with data; io.EOF ends the data.
	read(p []byte) (int, error)
	// finish verifies all that is left once the data is complete.
	finish() error
	// trailer returns the trailer after finish.
	trailer() http.Header
}

// Body returns the reader of a verified request's body. Errors are
// *wire.Error: MissingContentLength for chunks without
// x-amz-decoded-content-length, InvalidArgument for one that is no number. The
// reader's errors are XAmzContentSHA256Mismatch, SignatureDoesNotMatch,
// IncompleteBody, InvalidChunkSizeError, MalformedTrailerError, and those of
// the connection.
func Body(r *http.Request, res Result) (*BodyReader, error) {
	body := io.Reader(http.NoBody)
	if r.Body != nil {
		body = r.Body
	}
	switch res.Payload {
	case PayloadChunked, PayloadChunkedTrailer, PayloadUnsignedTrailer:
		length, err := decodedLength(r)
		if err != nil {
			return nil, err
		}
		return &BodyReader{src: newChunks(body, r, res, length), length: length}, nil
	case PayloadSHA256:
		return &BodyReader{src: &plain{body: body, hash: sha256.New(), want: res.PayloadHash}, length: r.ContentLength}, nil
	}
	return &BodyReader{src: &plain{body: body}, length: r.ContentLength}, nil
}

func decodedLength(r *http.Request) (int64, error) {
	values := r.Header["X-Amz-Decoded-Content-Length"]
	if len(values) == 0 {
		return 0, wire.New(wire.MissingContentLength)
	}
	text := strings.TrimSpace(strings.Join(values, ","))
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, wire.BadArgument("x-amz-decoded-content-length", text, "x-amz-decoded-content-length must be a number of bytes")
	}
	return n, nil
}

// Length returns the number of bytes that the client announced for the object,
// -1 when it announced none.
func (b *BodyReader) Length() int64 { return b.length }

// Trailer returns the trailer's headers once the last byte was read; nil
// before, and for bodies without a trailer.
func (b *BodyReader) Trailer() http.Header {
	if b.err != io.EOF {
		return nil
	}
	return b.src.trailer()
}

// Read gives the next bytes. See the package comment for what is verified when.
func (b *BodyReader) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.given == b.length {
		b.end()
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if b.length >= 0 && int64(len(p)) > b.length-b.given {
		p = p[:b.length-b.given]
	}
	n, err := b.src.read(p)
	b.given += int64(n)
	switch {
	case err == io.EOF && b.length >= 0 && b.given < b.length, errors.Is(err, io.ErrUnexpectedEOF):
		b.err = wire.New(wire.IncompleteBody).WithInt("NumberBytesExpected", b.length).WithInt("NumberBytesProvided", b.given)
		return 0, b.err
	case err != nil && err != io.EOF:
		b.err = err
		return 0, b.err
	case err == io.EOF || b.given == b.length:
		b.end()
		if b.err != io.EOF {
			return 0, b.err
		}
		if n == 0 {
			return 0, io.EOF
		}
	}
	return n, nil
}

// end verifies the rest; b.err is io.EOF when all holds.
func (b *BodyReader) end() {
	if b.err = b.src.finish(); b.err == nil {
		b.err = io.EOF
	}
}

// plain is a body sent as it is, with a hash to match or none.
type plain struct {
	body io.Reader
	hash hash.Hash // nil: not covered
	want [32]byte
}

func (s *plain) read(p []byte) (int, error) {
	n, err := s.body.Read(p)
	if s.hash != nil {
		s.hash.Write(p[:n])
	}
	return n, err
}

func (s *plain) finish() error {
	if s.hash == nil {
		return nil
	}
	var got [32]byte
	s.hash.Sum(got[:0])
	if got == s.want {
		return nil
	}
	return wire.New(wire.XAmzContentSHA256Mismatch).
		With("ClientComputedContentSHA256", hex.EncodeToString(s.want[:])).
		With("S3ComputedContentSHA256", hex.EncodeToString(got[:]))
}

func (s *plain) trailer() http.Header { return nil }
