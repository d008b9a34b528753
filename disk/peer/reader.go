package peer

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/contender/contender/disk"
)

// reader reads a part of a shard of another node. It is used by one goroutine at a time.
type reader struct {
	s     *Store
	ctx   context.Context // the caller's
	id    disk.ShardID
	off   int64 // next byte to hand out
	n     int64 // bytes still to come
	begun int64 // off when the connection was asked
	a     *attempt
	resp  *http.Response
	shard string // the server's fingerprint of it, once it is needed
	err   error  // what every further Read says
}

// open asks for what is still to come.
func (r *reader) open() (err error) {
	a := r.s.attempt(r.ctx, "get", r.id.String(), false)
	a.shard = r.shard
	stop := a.within(r.s.o.StallTimeout)
	resp, err := a.do(request{verb: verbGet, shard: r.id, off: r.off, n: r.n}, http.NoBody, nil, 0)
	stop()
	if err != nil {
		a.cancel(nil)
		return err
	}
	r.a, r.resp, r.begun = a, resp, r.off
	if r.n == 0 {
		r.end()
		r.err = io.EOF
	}
	return nil
}

// end lets the connection go. If the response was not read to its end it is closed.
func (r *reader) end() {
	if r.resp != nil {
		r.a.cancel(nil)
		r.resp.Body.Close()
		r.resp = nil
	}
}

// Read hands out bytes that the other node's disk has verified.
func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	p = p[:min(int64(len(p)), r.n, bufferBytes)]
	for {
		n, err := r.fill(p)
		r.off += int64(n)
		r.n -= int64(n)
		if err == nil {
			return n, nil
		}
		if r.n == 0 {
			err = io.EOF
		} else if err == errBroken {
			err = r.resume()
		}
		if r.err = err; err != nil {
			r.end()
		}
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// fill fills p. An error is errBroken if only the connection has failed. When all has come it takes the end as well, so
// that the connection can be used again, and returns io.EOF.
func (r *reader) fill(p []byte) (int, error) {
	stop := r.a.within(r.s.o.StallTimeout)
	defer stop()
	n, err := io.ReadFull(r.resp.Body, p)
	if err == nil && int64(n) == r.n {
		var more [1]byte
		_, _ = r.resp.Body.Read(more[:]) // all that was asked for is here; what comes behind it does not matter
		return n, io.EOF
	}
	if err == nil {
		return n, nil
	}
	if r.a.ctx.Err() != nil {
		return n, r.a.fail(err)
	}
	if answer, known := parseAnswer(r.resp.Trailer.Get(headerAnswer), r.a.base); answer != nil {
		return n, answer
	} else if known {
		return n, r.a.fail(errAnswer)
	}
	return n, errBroken
}

var errChanged = errors.New("the shard changed or went away while it was read")

// resume asks for the rest on another connection, if the one that broke has brought something.
func (r *reader) resume() error {
	if r.shard == "" {
		r.shard = r.resp.Header.Get(headerShard)
	}
	if r.shard == "" || r.off == r.begun {
		return r.a.fail(errBroken)
	}
	r.end()
	if err := r.open(); err != nil {
		if disk.Is(err, disk.KindNotFound) || disk.Is(err, disk.KindInvalid) {
			err = r.a.fail(errChanged) // it was here, so this is no loss
		}
		return err
	}
	if r.resp.Header.Get(headerShard) != r.shard {
		return r.a.fail(errChanged)
	}
	return nil
}

// Close lets the connection go, which ends the request at the other node.
func (r *reader) Close() error {
	r.end()
	if r.err == nil || r.err == io.EOF {
		r.err = disk.Errorf("get", disk.KindInvalid, r.id.String(), errors.New("the reader is closed"))
	}
	return nil
}
