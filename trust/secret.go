package trust

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log/slog"
	"math"
	"strings"
)

// Bounds of a cluster secret.
const (
	// SecretBitsMin is how much a secret must be able to hold.
	SecretBitsMin = 128
	secretMax     = 1024 // bytes
	// distinctMin is how many different characters a secret must have: a random one of the least length has fewer once
	// in a billion.
	distinctMin = 6
)

// Secret is the secret that all nodes of a cluster share. It is never printed. Its zero value is no secret.
type Secret struct {
	key   [sha256.Size]byte
	given bool
}

// ParseSecret reads a secret, white space around it removed. It must look random: letters, digits and -_+/= without
// anything between, long enough to hold SecretBitsMin bits if each character was drawn at random from the smallest usual
// alphabet that has them all. That is 39 digits, 32 hexadecimal digits, 26 characters of base 32, 22 of base 64. A
// repeated text counts once. All else is KindInvalid. A phrase of words has spaces and is refused: nobody can say how
// much it holds.
func ParseSecret(text string) (Secret, error) {
	const op = "read cluster secret"
	text = strings.TrimSpace(text)
	if text == "" || len(text) > secretMax {
		return Secret{}, fail(op, KindInvalid, "it has %d characters, want some and at most %d", len(text), secretMax)
	}
	per, ok := bitsPerCharacter(text)
	if !ok {
		return Secret{}, fail(op, KindInvalid, "only letters, digits and -_+/= are allowed; make one with: openssl rand -hex 32")
	}
	if bits := per * float64(period(strings.TrimRight(text, "="))); bits < SecretBitsMin || distinct(text) < distinctMin {
		return Secret{}, fail(op, KindInvalid, "it holds less than %d bits; make one with: openssl rand -hex 32", SecretBitsMin)
	}
	return Secret{key: sha256.Sum256([]byte("contender cluster secret 1\x00" + text)), given: true}, nil
}

// NewSecret draws a secret and returns its text, which ParseSecret reads.
func NewSecret(random io.Reader) (string, error) {
	var b [32]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fail("draw cluster secret", KindInvalid, "%w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return !s.given }

// String says only whether there is a secret.
func (s Secret) String() string {
	if s.given {
		return "cluster secret (hidden)"
	}
	return "no cluster secret"
}

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// LogValue is String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// bitsPerCharacter returns what a character holds if it was drawn from the smallest usual alphabet that has all of
// those of text; false if there is none.
func bitsPerCharacter(text string) (float64, bool) {
	const digits, lower, upper = "0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for _, a := range []struct {
		characters string
		bits       float64
	}{
		{digits, math.Log2(10)},
		{digits + "abcdef", 4},
		{digits + "ABCDEF", 4},
		{digits + lower + "=", 5},
		{digits + upper + "=", 5},
		{digits + lower + upper + "-_+/=", 6},
	} {
		if strings.Trim(text, a.characters) == "" {
			return a.bits, true
		}
	}
	return 0, false
}

// period returns the length of the shortest text of which text is a repetition, the last one perhaps cut short.
func period(text string) int {
	for p := 1; p < len(text); p++ {
		if text[p:] == text[:len(text)-p] {
			return p
		}
	}
	return len(text)
}

func distinct(text string) int {
	seen := map[rune]bool{}
	for _, r := range text {
		seen[r] = true
	}
	return len(seen)
}
