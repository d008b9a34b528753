package call

import (
	"errors"

	"github.com/contender/contender/gateway/route"
	"github.com/contender/contender/gateway/wire"
)

// ErrUnknownKey is what a lookup of an access key returns that does not exist.
var ErrUnknownKey = errors.New("unknown access key")

// Identity is who signed a request.
type Identity struct {
	AccessKey string
	Secret    string // never logged, never sent
	Root      bool   // the cluster's own key: it may do all
	Name      string // owner of what it makes
}

// Action is what an identity wants to do.
type Action struct {
	Op          route.Op
	Bucket, Key string
	// Of copies: what is read besides.
	SourceBucket, SourceKey string
}

// Authorize says whether an identity may do something: nil or wire.AccessDenied. It is the one place where rights are
// judged; until there are policies the root key may do all and every other identity nothing.
func Authorize(i Identity, _ Action) error {
	if i.Root {
		return nil
	}
	return wire.New(wire.AccessDenied)
}
