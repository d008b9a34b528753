package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/route"
	"github.com/contender/contender/gateway/sigv4"
	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// s3 answers an S3 request: slot, route, signature, call, handler.
func (g *Gateway) s3(_ http.ResponseWriter, r *http.Request) {
	e := exchangeOf(r)
	e.s3 = true
	select {
	case g.slots <- struct{}{}:
		defer func() { <-g.slots }()
	default:
		e.refuse(wire.New(wire.SlowDown))
		return
	}
	if err := g.carryOut(e, r); err != nil {
		e.refuse(e.blame(err))
	}
}

// blame finds what a failure is due to: when the body failed, that is the reason, whatever was made of it on the way.
func (e *exchange) blame(err error) error {
	if e.decoded == nil || e.decoded.Err() == nil {
		return err
	}
	if w := wire.AsError(e.decoded.Err()); w.Code != wire.InternalError {
		return w
	}
	return &objectlayer.Error{Op: string(e.op), Kind: objectlayer.KindIncompleteBody, Err: e.decoded.Err()}
}

func (g *Gateway) carryOut(e *exchange, r *http.Request) error {
	target, query, op, routed := g.route(r)
	e.op = op
	result, err := g.authenticate(e, r)
	if err != nil {
		return err
	}
	if routed != nil {
		return routed
	}
	c, err := g.call(e, r, target, query, result)
	if err != nil {
		return err
	}
	handler, known := g.ops[op]
	if !known {
		return wire.Newf(wire.NotImplemented, "The operation %s is not implemented", op.Name())
	}
	if err := checkMeaning(op, c.Header); err != nil {
		return err
	}
	if target.Bucket != "" {
		if err := wire.CheckBucketName(target.Bucket); err != nil {
			return err
		}
	}
	ctx := r.Context()
	if err := call.Authorize(e.identity, call.Action{Op: op, Bucket: c.Bucket, Key: c.Key}); err != nil {
		return err
	}
	if err := g.checkOwner(ctx, c); err != nil {
		return err
	}
	return handler(ctx, c)
}

// route reads the request line. Its error is answered only to those who may ask at all.
func (g *Gateway) route(r *http.Request) (route.Target, url.Values, route.Op, error) {
	target, err := route.Parse(r, g.o.Hosts)
	if err != nil {
		return target, nil, "", err
	}
	query, err := route.ParseQuery(route.RawQuery(r))
	if err != nil {
		return target, nil, "", err
	}
	op, err := route.Operation(r.Method, target, query, r.Header)
	return target, query, op, err
}

// authenticate judges the signature and finds who made it.
func (g *Gateway) authenticate(e *exchange, r *http.Request) (sigv4.Result, error) {
	result, err := sigv4.Verify(r.Context(), r, sigv4.Options{
		Region: g.o.Region, Now: g.o.Clock(), Keys: g.keys,
		LookupSecret: func(ctx context.Context, c sigv4.Credential) (string, error) {
			id, err := g.o.Identities.Lookup(ctx, c.AccessKey)
			if errors.Is(err, call.ErrUnknownKey) {
				return "", nil
			}
			e.identity = id
			return id.Secret, err
		},
	})
	if err != nil {
		return result, err
	}
	if result.Anonymous {
		return result, wire.New(wire.AccessDenied)
	}
	if result.Credential.SessionToken != "" {
		return result, wire.New(wire.InvalidToken)
	}
	return result, nil
}

// call puts together what the handler works with.
func (g *Gateway) call(e *exchange, r *http.Request, t route.Target, query url.Values, result sigv4.Result) (*call.Call, error) {
	body, err := sigv4.Body(r, result)
	if err != nil {
		return nil, err
	}
	header := r.Header
	if result.Presigned {
		if header, err = hoistedHeader(header, query); err != nil {
			return nil, err
		}
	}
	e.decoded = call.NewBody(body, body.Length(), body.Trailer)
	c := call.New(e.reply)
	c.Op, c.Bucket, c.Key, c.Identity = e.op, t.Bucket, t.Key, e.identity
	c.RequestID, c.Region, c.Method, c.Resource = e.id, g.o.Region, r.Method, e.resource
	c.Presigned, c.Header, c.Query, c.Body = result.Presigned, header, query, e.decoded
	c.KeepAlive, c.WireError = g.o.Limits.KeepAliveInterval, wireError
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	c.Location = scheme + r.Host + e.resource
	return c, nil
}

// checkOwner refuses a request that names another owner of its bucket, or of a copy's source, than there is.
func (g *Gateway) checkOwner(ctx context.Context, c *call.Call) error {
	if want := c.Header.Get("X-Amz-Expected-Bucket-Owner"); want != "" && c.Bucket != "" && c.Op != route.CreateBucket {
		if err := g.ownedBy(ctx, c.Bucket, want); err != nil {
			return err
		}
	}
	want := c.Header.Get("X-Amz-Source-Expected-Bucket-Owner")
	if want == "" {
		return nil
	}
	source, err := wire.ParseCopySource(c.Header.Get(wire.HeaderCopySource))
	if err != nil {
		return err
	}
	return g.ownedBy(ctx, source.Bucket, want)
}

func (g *Gateway) ownedBy(ctx context.Context, bucket, want string) error {
	b, err := g.o.Buckets.Get(ctx, bucket)
	if err == nil && b.Owner != want {
		err = wire.New(wire.AccessDenied)
	}
	return err
}
