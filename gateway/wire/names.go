package wire

import (
	"strings"
	"unicode/utf8"
)

// Bounds of names.
const (
	MaxKeyBytes        = 1024 // bytes of UTF-8
	MinBucketNameBytes = 3
	MaxBucketNameBytes = 63
)

// CheckKey returns nil for a key that an object may have: 1 to MaxKeyBytes
// bytes of UTF-8, any content. Else KeyTooLongError, InvalidURI for what is
// not UTF-8, InvalidArgument for an empty key.
func CheckKey(key string) error {
	switch {
	case key == "":
		return BadArgument("key", "", "The key must not be empty")
	case len(key) > MaxKeyBytes:
		return New(KeyTooLongError).WithInt("Size", int64(len(key))).WithInt("MaxSizeAllowed", MaxKeyBytes)
	case !utf8.ValidString(key):
		return New(InvalidURI)
	}
	return nil
}

// CheckBucketName returns nil for a name that follows AWS's rules for general
// purpose buckets, else InvalidBucketName.
func CheckBucketName(name string) error {
	if bucketNameValid(name) {
		return nil
	}
	if len(name) > 4*MaxBucketNameBytes {
		name = name[:4*MaxBucketNameBytes]
	}
	return New(InvalidBucketName).With("BucketName", name)
}

func bucketNameValid(name string) bool {
	if len(name) < MinBucketNameBytes || len(name) > MaxBucketNameBytes {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		alphanumeric := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !alphanumeric && c != '-' && c != '.' {
			return false
		}
		if !alphanumeric && (i == 0 || i == len(name)-1) {
			return false
		}
	}
	if strings.Contains(name, "..") {
		return false
	}
	if looksLikeIPv4(name) {
		return false
	}
	for _, prefix := range [...]string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	for _, suffix := range [...]string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(name, suffix) {
			return false
		}
	}
	return true
}

// looksLikeIPv4 holds for four groups of one to three digits, whatever their
// value.
func looksLikeIPv4(name string) bool {
	groups := strings.Split(name, ".")
	if len(groups) != 4 {
		return false
	}
	for _, g := range groups {
		if len(g) < 1 || len(g) > 3 || strings.Trim(g, "0123456789") != "" {
			return false
		}
	}
	return true
}
