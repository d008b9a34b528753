package machine

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/contender/contender/metashards/metapb"
)

const microsecondsPerSecond = 1_000_000

// judgeCondition judges a condition against the current version (nil: the key is absent) and returns nil if it holds.
// If-Match demands a key that is there; the time and size of DeleteObject hold for an absent one.
func judgeCondition(c *metapb.Condition, v *metapb.Version) *metapb.Result {
	failed := status(metapb.Status_PRECONDITION_FAILED)
	switch {
	case c == nil:
		return nil
	case c.IfMatch != "" && v == nil:
		return status(metapb.Status_NO_SUCH_KEY)
	case v == nil:
		return nil
	case c.IfAbsent:
		return failed
	case c.IfMatch != "" && c.IfMatch != "*" && unquote(c.IfMatch) != etagText(v):
		return failed
	// Clients see times in whole seconds.
	case c.IfMatchTime != 0 && c.IfMatchTime/microsecondsPerSecond != v.Time/microsecondsPerSecond:
		return failed
	case c.HasIfMatchSize && c.IfMatchSize != v.Size:
		return failed
	}
	return nil
}

// etagText returns a version's ETag as clients see it, without quotes.
func etagText(v *metapb.Version) string {
	s := hex.EncodeToString(v.Etag)
	if v.EtagParts > 0 {
		s += "-" + strconv.FormatUint(uint64(v.EtagParts), 10)
	}
	return s
}

func unquote(s string) string {
	if t, ok := strings.CutPrefix(s, `"`); ok {
		if t, ok = strings.CutSuffix(t, `"`); ok {
			return t
		}
	}
	return s
}
