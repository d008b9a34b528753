package gateway

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/route"
	"github.com/contender/contender/objectlayer"
)

// Identities finds who an access key belongs to. It is safe for concurrent use.
type Identities interface {
	// Lookup returns the identity of a key, call.ErrUnknownKey if there is none. Any other error is a failure to look.
	Lookup(ctx context.Context, accessKey string) (call.Identity, error)
}

// Access says who may read something.
type Access uint8

// Who may read the metrics.
const (
	AccessRoot     Access = iota // requests signed with the root key
	AccessLoopback               // anybody on this machine, and the root key
	AccessPublic                 // anybody
)

// Limits bound what one client, and all together, may take. A zero field stands for DefaultLimits' value.
type Limits struct {
	HeaderBytesMax    int           // request line and headers
	HeaderTimeMax     time.Duration // to send them
	IdleTimeMax       time.Duration // between two requests of a connection
	BodyIdleTimeMax   time.Duration // between two pieces of a body, either way
	BodyRateMin       int64         // bytes a second that a request's body must reach on the average
	BodyRateGrace     time.Duration // how long a body may stay below BodyRateMin
	RequestsMax       int           // S3 requests under way; more are answered with SlowDown
	RequestTimeMax    time.Duration // of one request in all
	XMLBytesMax       int64         // documents from clients
	KeepAliveInterval time.Duration // how long a copy or a completion may stay silent
	DrainTimeMax      time.Duration // for requests under way at shutdown
}

// DefaultLimits returns limits that suit a server of any size.
func DefaultLimits() Limits {
	return Limits{
		HeaderBytesMax: 64 << 10, HeaderTimeMax: 20 * time.Second, IdleTimeMax: 3 * time.Minute,
		BodyIdleTimeMax: time.Minute, BodyRateMin: 1 << 10, BodyRateGrace: 30 * time.Second,
		RequestsMax: 4096, RequestTimeMax: 12 * time.Hour, XMLBytesMax: 8 << 20,
		KeepAliveInterval: 5 * time.Second, DrainTimeMax: 30 * time.Second,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	orDefault(&l.HeaderBytesMax, d.HeaderBytesMax)
	orDefault(&l.HeaderTimeMax, d.HeaderTimeMax)
	orDefault(&l.IdleTimeMax, d.IdleTimeMax)
	orDefault(&l.BodyIdleTimeMax, d.BodyIdleTimeMax)
	orDefault(&l.BodyRateMin, d.BodyRateMin)
	orDefault(&l.BodyRateGrace, d.BodyRateGrace)
	orDefault(&l.RequestsMax, d.RequestsMax)
	orDefault(&l.RequestTimeMax, d.RequestTimeMax)
	orDefault(&l.XMLBytesMax, d.XMLBytesMax)
	orDefault(&l.KeepAliveInterval, d.KeepAliveInterval)
	orDefault(&l.DrainTimeMax, d.DrainTimeMax)
	return l
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Observation is what one finished request was, for metrics.
type Observation struct {
	Op       route.Op // "" if the request never came so far
	Status   int
	Code     string // of the error answered, "" for none
	Duration time.Duration
	Received int64 // decoded bytes of body
	Sent     int64 // bytes of body
}

// Options say what a gateway stands on. Objects, Uploads, Listings, Buckets and Identities are needed; nil or zero
// others have the meaning stated.
type Options struct {
	Objects    objectlayer.Objects
	Uploads    objectlayer.Uploads
	Listings   objectlayer.Listings
	Buckets    objectlayer.Buckets
	Identities Identities

	Region string   // default us-east-1
	Hosts  []string // domains below which buckets appear as host names; none: path style only

	Clock  func() time.Time // default time.Now
	Rand   io.Reader        // of request ids; default crypto/rand
	Logger *slog.Logger     // default: no log
	Limits Limits

	Live  func(context.Context) error // nil: alive
	Ready func(context.Context) error // nil: ready; else the reason why not

	Metrics       http.Handler // /-/metrics; nil: not found
	MetricsAccess Access
	Admin         http.Handler      // below /-/admin/, for the root key only; nil: not found
	Observe       func(Observation) // called at the end of each S3 request; must not block; nil: nobody looks
}
