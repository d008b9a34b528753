package record

import "encoding/base64"

// uploadIDLen is the length of an upload id in bytes.
const uploadIDLen = 16

// EncodeUploadID returns an upload's id as clients see it: opaque text that is safe in a URL.
func EncodeUploadID(id []byte) string { return base64.RawURLEncoding.EncodeToString(id) }

// DecodeUploadID reads what EncodeUploadID wrote; false if s is no upload id.
func DecodeUploadID(s string) ([]byte, bool) {
	id, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(id) != uploadIDLen {
		return nil, false
	}
	return id, true
}
