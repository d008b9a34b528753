package call

import (
	"io"
	"net/http"

	"github.com/contender/contender/gateway/wire"
)

// Body is the body of a request after its transfer coding and aws-chunked were taken off. Nothing is read from the
// client before the first Read: only then is a client that sent "Expect: 100-continue" told to go on, so handlers judge
// first and read then.
type Body struct {
	r       io.Reader
	size    int64
	limit   int64 // of a body of unknown size; 0: none
	trailer func() http.Header
	read    int64
	err     error
}

// NewBody makes a body of size decoded bytes, -1 if that is not known. trailer returns what came after the body's end
// and was signed where it had to be; it is called after the end only and may be nil.
func NewBody(r io.Reader, size int64, trailer func() http.Header) *Body {
	return &Body{r: r, size: size, trailer: trailer}
}

// Read reads decoded bytes. An error stays.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.r.Read(p)
	b.read += int64(n)
	if err == nil && b.size >= 0 && b.read > b.size {
		err = io.ErrUnexpectedEOF
	}
	if err == io.EOF && b.size >= 0 && b.read != b.size {
		err = io.ErrUnexpectedEOF
	}
	if b.limit > 0 && b.read > b.limit {
		err = wire.New(wire.EntityTooLarge).WithInt("MaxSizeAllowed", b.limit)
	}
	b.err = err
	return n, err
}

// Size is the decoded length that the client announced, -1 if it announced none.
func (b *Body) Size() int64 { return b.size }

// Count is how many decoded bytes were read.
func (b *Body) Count() int64 { return b.read }

// Err returns the error that ended the body, nil if it did not fail.
func (b *Body) Err() error {
	if b.err == io.EOF {
		return nil
	}
	return b.err
}
