package sigv4

import (
	"bufio"
	"bytes"
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

// Bounds of the aws-chunked form.
const (
	MaxChunkHeaderBytes = 256      // "size;chunk-signature=…" with its line end
	MaxTrailerBytes     = 16 << 10 // all lines behind the closing chunk
	MaxTrailers         = 16       // names in x-amz-trailer

	// MinChunkBytes is what every signed chunk but the last must hold.
	MinChunkBytes = 8 << 10

	chunkBufferBytes = 4 << 10 // larger reads pass it by
)

// emptySHA256 is the SHA-256 of nothing, in hexadecimal.
const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// chunks is a body in the aws-chunked form:
//
//	size[;chunk-signature=sig] CRLF data CRLF …
//	0[;chunk-signature=sig] CRLF [trailer lines] CRLF
type chunks struct {
	br      *bufio.Reader
	signed  bool
	result  Result
	prior   string    // signature that the next one is chained to
	hash    hash.Hash // of the chunk being read, nil when unsigned
	given   string    // signature that the chunk being read brought
	left    int64     // bytes of the chunk still to come
	total   int64     // bytes of data read
	length  int64     // bytes of data announced
	small   bool      // the chunk before was too small to have a follower
	allowed []string  // canonical names that the trailer may hold
	trail   bool      // a trailer may follow
	headers http.Header
}

func newChunks(body io.Reader, r *http.Request, res Result, length int64) *chunks {
	c := &chunks{
		br: bufio.NewReaderSize(body, chunkBufferBytes), result: res, prior: res.seed, length: length,
		signed: res.Payload != PayloadUnsignedTrailer,
		trail:  res.Payload != PayloadChunked,
	}
	if c.signed {
		c.hash = sha256.New()
	}
	if c.trail {
		for _, line := range r.Header["X-Amz-Trailer"] {
			for name := range strings.SplitSeq(line, ",") {
				if name = strings.TrimSpace(name); name != "" {
					c.allowed = append(c.allowed, http.CanonicalHeaderKey(name))
				}
			}
		}
	}
	return c
}

func incomplete() error { return wire.New(wire.IncompleteBody) }

// broken turns the end of the body where more was due into IncompleteBody.
func broken(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return incomplete()
	}
	return err
}

func (c *chunks) read(p []byte) (int, error) {
	if c.left == 0 {
		size, err := c.header()
		if err != nil {
			return 0, err
		}
		if size == 0 || size > c.length-c.total {
			return 0, incomplete()
		}
		if c.signed && c.small {
			return 0, wire.New(wire.InvalidChunkSizeError)
		}
		c.left, c.small = size, size < MinChunkBytes
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.br.Read(p)
	if c.signed {
		c.hash.Write(p[:n])
	}
	c.left -= int64(n)
	c.total += int64(n)
	if c.left > 0 {
		if err != nil {
			return 0, broken(err)
		}
		return n, nil
	}
	// An error that came with the chunk's last byte comes again below.
	if err := c.lineEnd(); err != nil {
		return 0, err
	}
	if c.signed {
		sum := hex.EncodeToString(c.hash.Sum(nil))
		c.hash.Reset()
		if err := c.verify("AWS4-HMAC-SHA256-PAYLOAD", emptySHA256+"\n"+sum, c.given); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// header reads a chunk's first line.
func (c *chunks) header() (size int64, err error) {
	line, err := c.br.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			return 0, incomplete()
		}
		return 0, broken(err)
	}
	text, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || len(line) > MaxChunkHeaderBytes {
		return 0, incomplete()
	}
	number, extension, _ := strings.Cut(string(text), ";")
	n, err := strconv.ParseUint(number, 16, 63)
	if err != nil {
		return 0, incomplete()
	}
	c.given = ""
	if c.signed {
		c.given, ok = strings.CutPrefix(extension, "chunk-signature=")
		if !ok {
			return 0, doesNotMatch(c.result.Credential.AccessKey, nil, "", nil)
		}
	}
	return int64(n), nil
}

func (c *chunks) lineEnd() error {
	for _, want := range [...]byte{'\r', '\n'} {
		b, err := c.br.ReadByte()
		if err != nil {
			return broken(err)
		}
		if b != want {
			return incomplete()
		}
	}
	return nil
}

// verify judges the next signature of the chain.
func (c *chunks) verify(kind, sums, provided string) error {
	b := make([]byte, 0, 384)
	b = append(append(b, kind...), '\n')
	b = append(c.result.Time.AppendFormat(b, timeLayout), '\n')
	b = append(append(b, c.result.scope...), '\n')
	b = append(append(b, c.prior...), '\n')
	b = append(b, sums...)
	if !equal(&c.result.key, b, provided) {
		return doesNotMatch(c.result.Credential.AccessKey, b, provided, nil)
	}
	c.prior = provided
	return nil
}

// finish reads the closing chunk, the trailer, and the end of the body.
func (c *chunks) finish() error {
	size, err := c.header()
	if err != nil {
		return err
	}
	if size != 0 {
		return incomplete() // more than x-amz-decoded-content-length announced
	}
	if c.signed {
		if err := c.verify("AWS4-HMAC-SHA256-PAYLOAD", emptySHA256+"\n"+emptySHA256, c.given); err != nil {
			return err
		}
	}
	return c.readTrailer()
}

// readTrailer reads the lines behind the closing chunk to the body's end.
// Blank lines are skipped wherever they stand: clients differ.
func (c *chunks) readTrailer() error {
	rest, err := io.ReadAll(io.LimitReader(c.br, MaxTrailerBytes+1))
	if err != nil {
		return broken(err)
	}
	if len(rest) > MaxTrailerBytes {
		return wire.New(wire.MalformedTrailerError)
	}
	var signature, text string
	headers := make(http.Header)
	for line := range strings.SplitSeq(string(rest), "\n") {
		if line = strings.TrimSuffix(line, "\r"); line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if !ok || !c.trail || signature != "" {
			return wire.New(wire.MalformedTrailerError)
		}
		if c.signed && name == "x-amz-trailer-signature" {
			signature = value
			continue
		}
		key := http.CanonicalHeaderKey(name)
		if !c.mayTrail(key) || headers[key] != nil || len(headers) == MaxTrailers {
			return wire.New(wire.MalformedTrailerError)
		}
		headers[key] = []string{value}
		text += name + ":" + value + "\n"
	}
	if !c.trail {
		return nil
	}
	if c.signed {
		sum := sha256.Sum256([]byte(text))
		if err := c.verify("AWS4-HMAC-SHA256-TRAILER", hex.EncodeToString(sum[:]), signature); err != nil {
			return err
		}
	}
	for _, name := range c.allowed {
		if headers[name] == nil {
			return wire.New(wire.MalformedTrailerError)
		}
	}
	c.headers = headers
	return nil
}

func (c *chunks) mayTrail(canonical string) bool {
	for _, name := range c.allowed {
		if name == canonical {
			return true
		}
	}
	return false
}

func (c *chunks) trailer() http.Header { return c.headers }
