package trust

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"io"
	"log/slog"
	"math"
	"strings"
	"time"
)

// TokenID names a token. It is drawn at random and is no secret.
type TokenID [8]byte

// String returns the id as 16 hexadecimal digits.
func (t TokenID) String() string { return hex.EncodeToString(t[:]) }

// Token lets a node join until it expires. It also says which authority the cluster has, so that the joiner knows the
// cluster's members from anybody else before it says a word.
type Token struct {
	id        TokenID
	secret    [32]byte
	authority [sha256.Size]byte
	expires   time.Time
}

// TokenRecord is what the cluster keeps of a token. Whoever can read the record can join with it.
type TokenRecord struct {
	ID      TokenID
	Key     [sha256.Size]byte // the token's secret, hashed: the text cannot be made again from it
	Expires time.Time         // to the second
	Uses    int               // joins that it still allows; UsesUnlimited for any number
}

// UsesUnlimited allows a token to be used until it expires.
const UsesUnlimited = -1

// Tokens finds the tokens of the cluster. Safe for concurrent use.
type Tokens interface {
	// Find returns the record of a token, and false if there is none. It is asked by strangers: its cost should be small
	// and must not depend on whether there is one. It must see each token that was handed out before it was called.
	Find(ctx context.Context, id TokenID) (TokenRecord, bool, error)
}

// NewToken makes a token for joining the authority's cluster, and the record of it for the cluster to keep. All that is
// secret comes from random. The record must be stored before the token is handed out.
func NewToken(a *Authority, expires time.Time, uses int, random io.Reader) (Token, TokenRecord, error) {
	const op = "make token"
	if s := expires.Unix(); s <= 0 || s > math.MaxUint32 || uses == 0 || uses < UsesUnlimited {
		return Token{}, TokenRecord{}, fail(op, KindInvalid, "expires %s, %d uses", expires, uses)
	}
	t := Token{authority: a.Hash(), expires: time.Unix(expires.Unix(), 0).UTC()}
	if _, err := io.ReadFull(random, t.id[:]); err != nil {
		return Token{}, TokenRecord{}, fail(op, KindInvalid, "%w", err)
	}
	if _, err := io.ReadFull(random, t.secret[:]); err != nil {
		return Token{}, TokenRecord{}, fail(op, KindInvalid, "%w", err)
	}
	return t, TokenRecord{ID: t.id, Key: t.key(), Expires: t.expires, Uses: uses}, nil
}

// The form of a token: a mark with the format, then base 32 in small letters, which no terminal, mail or shell breaks or
// changes and a double click selects whole. In it, in this order: id (8), secret (32), hash of the authority (32),
// expiry in Unix seconds (4, big-endian), CRC-32C of mark and all before (4).
const (
	tokenMark  = "ctoken1_"
	tokenBytes = 8 + 32 + sha256.Size + 4 + 4
)

var (
	tokenBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	castagnoli  = crc32.MakeTable(crc32.Castagnoli)
)

func tokenSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(tokenMark), castagnoli), castagnoli, b)
}

// Text returns the token to be given to the joiner. It is a secret.
func (t Token) Text() string {
	b := make([]byte, 0, tokenBytes)
	b = append(b, t.id[:]...)
	b = append(b, t.secret[:]...)
	b = append(b, t.authority[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(t.expires.Unix()))
	b = binary.BigEndian.AppendUint32(b, tokenSum(b))
	return tokenMark + tokenBase32.EncodeToString(b)
}

// ParseToken reads what Token.Text wrote, white space around it and capital letters forgiven. KindInvalid if anything is
// missing or mistyped. An expired token is parsed: Join refuses it.
func ParseToken(text string) (Token, error) {
	const op = "read token"
	text = strings.ToLower(strings.TrimSpace(text))
	body, ok := strings.CutPrefix(text, tokenMark)
	if !ok {
		return Token{}, fail(op, KindInvalid, "it does not begin with %s", tokenMark)
	}
	if len(body) != tokenBase32.EncodedLen(tokenBytes) {
		return Token{}, fail(op, KindInvalid, "it has %d characters, want %d", len(text), len(tokenMark)+tokenBase32.EncodedLen(tokenBytes))
	}
	b, err := tokenBase32.DecodeString(body)
	if err != nil || len(b) != tokenBytes || binary.BigEndian.Uint32(b[tokenBytes-4:]) != tokenSum(b[:tokenBytes-4]) {
		return Token{}, fail(op, KindInvalid, "it is mistyped or cut")
	}
	var t Token
	b = b[copy(t.id[:], b):]
	b = b[copy(t.secret[:], b):]
	b = b[copy(t.authority[:], b):]
	t.expires = time.Unix(int64(binary.BigEndian.Uint32(b)), 0).UTC()
	if t.Text() != text {
		return Token{}, fail(op, KindInvalid, "it is mistyped")
	}
	return t, nil
}

// ID returns the name of the token.
func (t Token) ID() TokenID { return t.id }

// IsZero reports whether there is no token.
func (t Token) IsZero() bool { return t == Token{} }

// Expires returns when the token expires.
func (t Token) Expires() time.Time { return t.expires }

// String names the token without its secret.
func (t Token) String() string { return "token " + t.id.String() }

// GoString is String.
func (t Token) GoString() string { return t.String() }

// LogValue is String.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// key is what the proofs are made with.
func (t Token) key() [sha256.Size]byte {
	return sha256.Sum256(append([]byte("contender token 1\x00"+string(t.id[:])), t.secret[:]...))
}

// String names the record without its key.
func (r TokenRecord) String() string { return "token " + r.ID.String() }

// GoString is String.
func (r TokenRecord) GoString() string { return r.String() }

type tokenWire struct {
	Format  int    `json:"format"`
	ID      string `json:"id"`
	Key     []byte `json:"key"`
	Expires int64  `json:"expires"` // Unix seconds
	Uses    int    `json:"uses"`
}

// Encode returns the record's bytes, for a system record.
func (r TokenRecord) Encode() ([]byte, error) {
	b, err := seal(tokenWire{format, r.ID.String(), r.Key[:], r.Expires.Unix(), r.Uses})
	if err != nil {
		return nil, fail("encode token record", KindInvalid, "%w", err)
	}
	return b, nil
}

// DecodeTokenRecord reads what Encode wrote. KindInvalid if it is damaged or of a later format.
func DecodeTokenRecord(b []byte) (TokenRecord, error) {
	const op = "decode token record"
	var w tokenWire
	if err := unseal(b, &w); err != nil {
		return TokenRecord{}, fail(op, KindInvalid, "%w", err)
	}
	r := TokenRecord{Expires: time.Unix(w.Expires, 0).UTC(), Uses: w.Uses}
	id, err := hex.DecodeString(w.ID)
	if err != nil || len(id) != len(r.ID) || len(w.Key) != len(r.Key) || w.Uses < UsesUnlimited {
		return TokenRecord{}, fail(op, KindInvalid, "fields out of bounds")
	}
	copy(r.ID[:], id)
	copy(r.Key[:], w.Key)
	return r, nil
}
