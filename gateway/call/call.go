package call

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/contender/contender/gateway/route"
	"github.com/contender/contender/gateway/wire"
)

// Handler carries out one operation. It answers through c, or returns an error that the front turns into the answer: a
// *wire.Error, a wire.Code, an *objectlayer.Error, or anything else for an internal error. ctx ends with the request.
type Handler func(ctx context.Context, c *Call) error

// Call is one authenticated request. Its fields are read only.
type Call struct {
	Op          route.Op
	Bucket, Key string
	Identity    Identity
	RequestID   string
	Region      string // of this server
	Method      string
	Resource    string // the path that the client asked for, as it was sent
	Location    string // the URL that the client asked for, without its query
	Presigned   bool
	Header      http.Header // of the request; presigned requests have their x-amz- query parameters here too
	Query       url.Values
	Body        *Body
	KeepAlive   time.Duration // how long a slow answer may stay silent
	// WireError finds what an error is answered with, for documents that tell of several outcomes.
	WireError func(error) *wire.Error

	reply *Reply
}

// New joins a call with the answer that is under way. The other fields are the caller's to fill.
func New(reply *Reply) *Call { return &Call{reply: reply} }

// Owner is the name under which what this call makes is owned.
func (c *Call) Owner() string { return c.Identity.Name }
