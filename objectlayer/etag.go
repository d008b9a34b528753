package objectlayer

import (
	"encoding/hex"
	"strconv"
	"strings"
)

// String returns the entity tag as S3 writes it, without quotes: 32 hexadecimal digits, followed by -N for N parts.
func (e ETag) String() string {
	s := hex.EncodeToString(e.MD5[:])
	if e.Parts > 0 {
		s += "-" + strconv.Itoa(e.Parts)
	}
	return s
}

// Matches reports whether a tag from a condition header names e: "*" names every tag; quotes and the mark of a weak
// tag are ignored.
func (e ETag) Matches(tag string) bool {
	tag = strings.TrimSpace(tag)
	if tag == "*" {
		return true
	}
	tag = strings.Trim(strings.TrimPrefix(tag, "W/"), `"`)
	return strings.EqualFold(tag, e.String())
}
