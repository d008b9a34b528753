package trust

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// TestSecret: only what can hold 128 bits and looks random is a secret.
func TestSecret(t *testing.T) {
	made := must[string](t)(NewSecret(newRandom(1)))
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{made, true},
		{testSecret, true},
		{strings.ToUpper(testSecret), true},
		{"\t" + testSecret + " \r\n", true},
		{testSecret[:31], false},
		{"b1946ac92492d2347c6235b4d26-1118", true}, // more than hexadecimal: 6 bits each
		{"mZ3yB0oWq1u8kTfLxV7c2d", true},           // 22 of base 64
		{"mZ3yB0oWq1u8kTfLxV7c2", false},
		{"mZ3yB0oWq1u8kTfLxV7c2==", false},   // padding holds nothing
		{"gk3wq7nzt5xm2cpvh6bd4jrsfy", true}, // 26 of base 32
		{"gk3wq7nzt5xm2cpvh6bd4jrsf", false},
		{"714209386150274839162058473910284756302", true}, // 39 digits
		{"71420938615027483916205847391028475630", false},
		{"", false},
		{"   ", false},
		{"password", false},
		{"correct horse battery staple and much more of it", false},
		{strings.Repeat("a", 64), false},
		{strings.Repeat("ab", 64), false},
		{strings.Repeat(testSecret[:16], 4), false},
		{strings.Repeat("a", 40) + "bcde", false},
		{"b1946ac92492d234\n7c6235b4d2611184", false},
		{"b1946ac92492d234\x007c6235b4d2611184", false},
		{"ñ1946ac92492d2347c6235b4d2611184aaaa", false},
		{strings.Repeat(made, 30), false},
	} {
		s, err := ParseSecret(c.text)
		if (err == nil) != c.ok || err != nil && !Is(err, KindInvalid) || s.IsZero() == c.ok {
			t.Errorf("%q: %v", c.text, err)
		}
		if err != nil && len(c.text) > 8 && strings.Contains(err.Error(), strings.TrimSpace(c.text)) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
	a, b := must[Secret](t)(ParseSecret(testSecret)), must[Secret](t)(ParseSecret(testSecret+"\n"))
	if c := must[Secret](t)(ParseSecret(made)); a != b || a == c {
		t.Error("secrets are told apart by white space, or not at all")
	}
	if _, err := NewSecret(strings.NewReader("x")); err == nil {
		t.Error("a secret without random bytes")
	}
}

// TestToken: a token comes back from its text, and nothing else is one.
func TestToken(t *testing.T) {
	f := newFixture(t, testCluster, 1)
	token := f.token(time.Hour)
	text := token.Text()
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyz234567_1") != "" {
		t.Errorf("%q is not safe to copy", text)
	}
	for _, same := range []string{text, " " + text + "\n", strings.ToUpper(text)} {
		if got, err := ParseToken(same); err != nil || got != token {
			t.Errorf("%q: %v, %v", same, got, err)
		}
	}
	if token.authority != f.authority.Hash() || !token.Expires().Equal(testStart.Add(time.Hour)) || token.IsZero() {
		t.Error("authority or expiry")
	}
	for i := range text {
		for _, c := range "a7_" {
			if bad := text[:i] + string(c) + text[i+1:]; bad != text {
				if _, err := ParseToken(bad); !Is(err, KindInvalid) {
					t.Fatalf("character %d as %q: %v", i, c, err)
				}
			}
		}
		if _, err := ParseToken(text[:i]); !Is(err, KindInvalid) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	for _, bad := range []string{text + "a", text[:30] + "\n" + text[30:], strings.Replace(text, "1_", "2_", 1)} {
		if _, err := ParseToken(bad); !Is(err, KindInvalid) || strings.Contains(err.Error(), text[20:40]) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, c := range []struct {
		expires time.Time
		uses    int
	}{{testStart, 0}, {testStart, -2}, {time.Time{}, 1}, {time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC), 1}} {
		if _, _, err := NewToken(f.authority, c.expires, c.uses, f.rand); !Is(err, KindInvalid) {
			t.Errorf("%v: %v", c, err)
		}
	}
	if _, _, err := NewToken(f.authority, testStart, 1, io.LimitReader(f.rand, 20)); !Is(err, KindInvalid) {
		t.Errorf("too few random bytes: %v", err)
	}
	r := f.tokens[token.ID()]
	b := must[[]byte](t)(r.Encode())
	if back, err := DecodeTokenRecord(b); err != nil || back != r {
		t.Errorf("%+v came back, %v", back, err)
	}
	if bytes.Contains(b, token.secret[:]) {
		t.Error("the record holds the token's secret")
	}
	for _, w := range []tokenWire{
		{2, r.ID.String(), r.Key[:], 1, 1}, {1, "12", r.Key[:], 1, 1}, {1, r.ID.String(), nil, 1, 1}, {1, r.ID.String(), r.Key[:], 1, -2},
	} {
		if _, err := DecodeTokenRecord(must[[]byte](t)(seal(w))); !Is(err, KindInvalid) {
			t.Errorf("%v: %v", w, err)
		}
	}
}

// TestErrors: errors keep their kind and cause when they are wrapped.
func TestErrors(t *testing.T) {
	cause := errors.New("cause")
	err := fail("join", KindDenied, "x: %w", cause)
	if !Is(err, KindDenied) || Is(err, KindExpired) || Is(nil, KindInvalid) || !errors.Is(err, cause) || err.Error() != "trust: join: denied: x: cause" {
		t.Error(err)
	}
	for k := KindInvalid; k <= KindStorage; k++ {
		if k.String() == "" || strings.HasPrefix(k.String(), "kind") {
			t.Errorf("kind %d has no name", k)
		}
	}
}
