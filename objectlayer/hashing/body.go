package hashing

import (
	"errors"
	"fmt"
	"io"

	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/record"
)

// Body reads the body of a request and sees to its size. Its errors are *objectlayer.Error: KindIncompleteBody if the
// body ends before or goes on past its announced size or can not be read, KindEntityTooLarge past a limit; an
// *objectlayer.Error of the body itself is handed on. It is used by one goroutine at a time, but for Err.
type Body struct {
	body io.Reader
	size int64 // announced, -1: unknown
	max  int64
	read int64
	err  error
}

// NewBody returns a Body of an announced size in bytes (-1 if it is unknown) of which at most limit bytes are read.
func NewBody(body io.Reader, size, limit int64) *Body {
	return &Body{body: body, size: size, max: limit}
}

// Read reads on.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.body.Read(p)
	b.read += int64(n)
	switch {
	case b.size >= 0 && b.read > b.size:
		b.err = incomplete(fmt.Sprintf("more than the announced %d bytes", b.size), nil)
	case b.read > b.max:
		b.err = &objectlayer.Error{
			Op: "read body", Kind: objectlayer.KindEntityTooLarge, Detail: fmt.Sprintf("more than %d bytes", b.max),
		}
	case errors.Is(err, io.EOF) && b.size >= 0 && b.read < b.size:
		b.err = incomplete(fmt.Sprintf("%d of %d bytes", b.read, b.size), nil)
	case err != nil && !errors.Is(err, io.EOF):
		b.err = bodyError(err)
	default:
		return n, err
	}
	return 0, b.err
}

// Err returns what failed in the body, nil if nothing did. It tells a broken body from a broken store where both come
// back through one call; it may be called when no Read is under way.
func (b *Body) Err() error { return b.err }

func incomplete(detail string, err error) error {
	return &objectlayer.Error{Op: "read body", Kind: objectlayer.KindIncompleteBody, Detail: detail, Err: err}
}

func bodyError(err error) error {
	var o *objectlayer.Error
	if errors.As(err, &o) {
		return err
	}
	return incomplete("", err)
}

// Source returns a reader of the source of a copy. Its errors are the source's own: a copy that fails because its
// source cannot be read is no broken request.
func Source(body io.Reader, bucket, key string) io.Reader { return &source{body, bucket, key} }

type source struct {
	body        io.Reader
	bucket, key string
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = record.Error("read copy source", s.bucket, s.key, err)
	}
	return n, err
}
