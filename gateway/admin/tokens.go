package admin

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// Tokens makes tokens with which nodes join. It is safe for concurrent use.
type Tokens interface {
	// NewToken makes a token that so many nodes may use until it expires, and returns its text, which is a secret, and
	// when it expires. Bounds are the implementation's: an error may be shown to the operator.
	NewToken(ctx context.Context, life time.Duration, uses int) (text string, expires time.Time, err error)
}

// TokenRequest asks for a join token, by POST.
type TokenRequest struct {
	ExpiresSeconds int64 `json:"expires_seconds"`
	Uses           int   `json:"uses"`
}

// Token is a join token.
type Token struct {
	Token   string    `json:"token"` // a secret
	Expires time.Time `json:"expires"`
}

// tokenRequestMax bounds the body of a TokenRequest.
const tokenRequestMax = 4 << 10

func (a *api) newToken(w http.ResponseWriter, r *http.Request) {
	var q TokenRequest
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, tokenRequestMax))
	if err == nil {
		err = json.Unmarshal(body, &q)
	}
	if err != nil {
		a.write(w, r, http.StatusBadRequest, problem{"InvalidRequest", "Want a JSON object with expires_seconds and uses."})
		return
	}
	text, expires, err := a.Tokens.NewToken(r.Context(), time.Duration(q.ExpiresSeconds)*time.Second, q.Uses)
	if err != nil {
		a.log.WarnContext(r.Context(), "no token was made", "err", err)
		a.write(w, r, http.StatusServiceUnavailable, problem{"Unavailable", "No token could be made: " + err.Error()})
		return
	}
	a.write(w, r, http.StatusOK, Token{Token: text, Expires: expires})
}
