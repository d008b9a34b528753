package listing

import (
	"strings"
	"testing"
)

func TestTokens(t *testing.T) {
	for _, c := range []cursor{
		{}, {key: "k"}, {key: "k", mark: "null"}, {prefix: "p/"}, {key: strings.Repeat("k", 1024)}, {key: "\x00\xff"},
	} {
		s := c.token()
		if strings.ContainsAny(s, "+/=&?% ") {
			t.Errorf("%q needs escapes in a URL", s)
		}
		if got, ok := parseToken(s); !ok || got != c {
			t.Errorf("%+v became %+v, %v", c, got, ok)
		}
		if _, ok := parseToken(s + "A"); ok {
			t.Errorf("%q is no token", s+"A")
		}
	}
}

func FuzzToken(f *testing.F) {
	f.Add(cursor{key: "k", mark: "m"}.token())
	f.Add(cursor{prefix: "p/"}.token())
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := parseToken(s)
		if !ok {
			return
		}
		if again, ok := parseToken(c.token()); !ok || again != c {
			t.Fatalf("%q: %+v became %+v", s, c, again)
		}
	})
}
