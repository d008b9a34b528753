package call

import "github.com/contender/contender/gateway/wire"

// CheckLength judges the announced length of a body that becomes an object or part of at most max bytes. A body whose
// length is not announced at all is refused, as S3 does; one that is sent in chunks may end where it likes.
func (c *Call) CheckLength(max int64) error {
	switch size := c.Body.Size(); {
	case size > max:
		return wire.New(wire.EntityTooLarge).WithInt("ProposedSize", size).WithInt("MaxSizeAllowed", max)
	case size == 0 && c.Header.Get("Content-Length") == "" && c.Header.Get("X-Amz-Decoded-Content-Length") == "":
		return wire.New(wire.MissingContentLength)
	case size < 0:
		c.Body.limit = max
	}
	return nil
}
