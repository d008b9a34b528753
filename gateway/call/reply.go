package call

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/contender/contender/gateway/wire"
)

// CopyBytes is the size of the buffers through which object bytes travel.
const CopyBytes = 256 << 10

// Buffers hands out copy buffers and takes them back, so that memory stays bounded by the requests under way. It is safe
// for concurrent use.
type Buffers struct{ pool sync.Pool }

// NewBuffers returns an empty pool.
func NewBuffers() *Buffers {
	return &Buffers{pool: sync.Pool{New: func() any { b := make([]byte, CopyBytes); return &b }}}
}

// Reply is the answer to one request: an http.ResponseWriter that remembers how far it came and drops clients that do
// not read.
type Reply struct {
	w       http.ResponseWriter
	control *http.ResponseController
	buffers *Buffers
	clock   func() time.Time
	idleMax time.Duration // longest time one write may take; 0: for ever
	setAt   time.Time
	begin   func() // called once, before the status is sent; nil: nothing

	status int
	bytes  int64
	spaced bool // only white space was sent so far
}

// NewReply wraps w. idleMax is the longest time that one write to the client may take; 0 is no bound. begin, if not nil,
// is called once just before the status is sent.
func NewReply(w http.ResponseWriter, buffers *Buffers, clock func() time.Time, idleMax time.Duration, begin func()) *Reply {
	r := &Reply{w: w, control: http.NewResponseController(w), buffers: buffers, clock: clock, idleMax: idleMax, begin: begin}
	r.extend()
	return r
}

// Unwrap lets http.ResponseController find the connection.
func (r *Reply) Unwrap() http.ResponseWriter { return r.w }

// Header returns the headers of the answer.
func (r *Reply) Header() http.Header { return r.w.Header() }

// WriteHeader sends status and headers; only the first call counts.
func (r *Reply) WriteHeader(status int) {
	if r.status != 0 {
		return
	}
	if status >= http.StatusOK {
		r.status = status
		if r.begin != nil {
			r.begin()
		}
	}
	r.extend()
	r.w.WriteHeader(status)
}

// Write sends a piece of the body.
func (r *Reply) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	r.extend()
	n, err := r.w.Write(b)
	r.bytes += int64(n)
	return n, err
}

// extend gives the client idleMax from now on for the next write. The timer is set once in a second at most.
func (r *Reply) extend() {
	if r.idleMax <= 0 {
		return
	}
	now := r.clock()
	if !r.setAt.IsZero() && now.Sub(r.setAt) < min(time.Second, r.idleMax/4) {
		return
	}
	r.setAt = now
	_ = r.control.SetWriteDeadline(now.Add(r.idleMax)) // a writer without connection has no deadline
}

// Status returns the status that was sent, 0 if none was.
func (r *Reply) Status() int { return r.status }

// Bytes returns how many bytes of body were sent.
func (r *Reply) Bytes() int64 { return r.bytes }

// Spaced reports whether status 200 and nothing but white space was sent: an XML document may still follow.
func (r *Reply) Spaced() bool { return r.spaced }

// space sends a blank to show that the answer is being worked on; the first time after status and XML prologue.
func (r *Reply) space() error {
	b := []byte(" ")
	if r.status == 0 {
		r.Header().Set("Content-Type", wire.ContentTypeXML)
		r.spaced = true
		b = []byte(xmlPrologue + " ")
	}
	if _, err := r.Write(b); err != nil {
		return err
	}
	return r.control.Flush()
}

// ResponseHeader returns the headers of the answer.
func (c *Call) ResponseHeader() http.Header { return c.reply.Header() }

// Empty answers with a status and no body.
func (c *Call) Empty(status int) error {
	if status != http.StatusNoContent && status != http.StatusNotModified {
		c.reply.Header().Set("Content-Length", "0")
	}
	c.reply.WriteHeader(status)
	return nil
}

// XML answers with a document.
func (c *Call) XML(status int, doc []byte) error {
	h := c.reply.Header()
	h.Set("Content-Type", wire.ContentTypeXML)
	h.Set("Content-Length", strconv.Itoa(len(doc)))
	c.reply.WriteHeader(status)
	_, err := c.reply.Write(doc)
	return err
}

// HeadOnly sends status and headers of an answer whose body of length bytes is left out, as HEAD asks.
func (c *Call) HeadOnly(status int, length int64) error {
	c.reply.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	c.reply.WriteHeader(status)
	return nil
}

// errLength is a body that is shorter or longer than it was announced.
var errLength = errors.New("the stored bytes have another length than their record says")

// Stream answers with length bytes of body. The first bytes are read before the status is sent, so that what cannot be
// read at all is answered by an error; one that comes later breaks the connection off. The last bytes are sent only
// after body told its end, so that a client never takes bytes for whole whose verification failed.
func (c *Call) Stream(status int, length int64, body io.Reader) error {
	buf := c.reply.buffers.pool.Get().(*[]byte)
	defer c.reply.buffers.pool.Put(buf)
	for sent := int64(0); ; {
		n := int(min(length-sent, CopyBytes))
		if _, err := io.ReadFull(body, (*buf)[:n]); err != nil {
			return ended(err)
		}
		last := sent+int64(n) == length
		if last {
			var more [1]byte
			if _, err := io.ReadFull(body, more[:]); err != io.EOF { //nolint:errorlint // ReadFull returns it bare
				return ended(err)
			}
		}
		if sent == 0 {
			c.reply.Header().Set("Content-Length", strconv.FormatInt(length, 10))
			c.reply.WriteHeader(status)
		}
		if _, err := c.reply.Write((*buf)[:n]); err != nil {
			return err
		}
		if sent += int64(n); last {
			return nil
		}
	}
}

// ended is why a body did not give what it should: its own error, or errLength if it just ended or went on.
func ended(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errLength
	}
	return err
}
