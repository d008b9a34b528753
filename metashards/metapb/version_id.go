package metapb

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// NullVersionID is the id that clients see of a null version.
const NullVersionID = "null"

// versionIDLen is the length of a version id in bytes, before it is written as hexadecimal digits.
const versionIDLen = 16

// VersionID returns the id of a version as clients see it: "null" for a null version, else 32 hexadecimal digits that
// hold time and nonce and do not show their order.
func VersionID(v *Version) string {
	if v.GetNullVersion() {
		return NullVersionID
	}
	return EncodeVersionID(v.GetTime(), v.GetNonce())
}

// EncodeVersionID writes a version's time and nonce as text. ParseVersionID reads it back.
func EncodeVersionID(time, nonce uint64) string {
	var b [versionIDLen]byte
	binary.BigEndian.PutUint64(b[:], nonce)
	binary.BigEndian.PutUint64(b[8:], time^scramble(nonce))
	return hex.EncodeToString(b[:])
}

// ParseVersionID reads what EncodeVersionID wrote. Anything else, "null" too, is an error.
func ParseVersionID(s string) (time, nonce uint64, err error) {
	var b [versionIDLen]byte
	if len(s) != 2*versionIDLen {
		return 0, 0, fmt.Errorf("version id of %d characters, want %d", len(s), 2*versionIDLen)
	}
	if _, err := hex.Decode(b[:], []byte(s)); err != nil || hex.EncodeToString(b[:]) != s {
		return 0, 0, fmt.Errorf("version id %q: want lower-case hexadecimal digits", s)
	}
	nonce = binary.BigEndian.Uint64(b[:])
	return binary.BigEndian.Uint64(b[8:]) ^ scramble(nonce), nonce, nil
}

// scramble spreads a number's bits (the finalizer of splitmix64). It hides order; it is no secret.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
