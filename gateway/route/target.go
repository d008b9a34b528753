package route

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/contender/contender/gateway/wire"
)

// Target is what a request names.
type Target struct {
	Bucket      string // unescaped, not checked; "" is the service itself
	Key         string // unescaped; "" is the bucket itself
	VirtualHost bool   // the bucket came from the Host header
}

// Level tells which kind of thing a target is.
type Level uint8

// The three kinds of target.
const (
	LevelService Level = iota + 1
	LevelBucket
	LevelObject
)

// Level returns the kind of the target.
func (t Target) Level() Level {
	switch {
	case t.Bucket == "":
		return LevelService
	case t.Key == "":
		return LevelBucket
	}
	return LevelObject
}

// RawPath returns the path of the request line exactly as the client sent it,
// without the query. A request that did not come from a server (RequestURI
// empty) gives its URL's escaped path.
func RawPath(r *http.Request) string {
	path, _ := splitURI(r)
	return path
}

// RawQuery returns the query of the request line exactly as the client sent
// it, without the '?'.
func RawQuery(r *http.Request) string {
	_, query := splitURI(r)
	return query
}

func splitURI(r *http.Request) (path, query string) {
	uri := r.RequestURI
	if uri == "" {
		return r.URL.EscapedPath(), r.URL.RawQuery
	}
	if uri[0] != '/' { // absolute form, as proxies send it
		if i := strings.Index(uri, "://"); i >= 0 {
			rest := uri[i+3:]
			j := strings.IndexAny(rest, "/?")
			switch {
			case j < 0:
				return "/", ""
			case rest[j] == '?':
				return "/", rest[j+1:]
			}
			uri = rest[j:]
		}
	}
	path, query, _ = strings.Cut(uri, "?")
	return path, query
}

// Parse finds bucket and key of a request. hosts are the domains under which
// buckets appear as host names ("s3.example.com" serves
// "photos.s3.example.com"); they are compared without case and port, and the
// longest that fits wins. Errors are *wire.Error: InvalidURI for a path that
// is none, KeyTooLongError for a key over wire.MaxKeyBytes, InvalidBucketName
// for a key without a bucket. Other rules of bucket names are
// wire.CheckBucketName's.
func Parse(r *http.Request, hosts []string) (Target, error) {
	path := RawPath(r)
	if path == "" || path[0] != '/' {
		return Target{}, wire.New(wire.InvalidURI)
	}
	var t Target
	var err error
	rawKey := path[1:]
	if bucket := hostBucket(r.Host, hosts); bucket != "" {
		t.Bucket, t.VirtualHost = bucket, true
	} else {
		var rawBucket string
		rawBucket, rawKey, _ = strings.Cut(rawKey, "/")
		if t.Bucket, err = unescapePath(rawBucket); err != nil {
			return Target{}, err
		}
	}
	if t.Key, err = unescapePath(rawKey); err != nil {
		return Target{}, err
	}
	if t.Key == "" {
		return t, nil
	}
	if t.Bucket == "" {
		return Target{}, wire.New(wire.InvalidBucketName).With("BucketName", "")
	}
	if err := wire.CheckKey(t.Key); err != nil {
		return Target{}, err
	}
	return t, nil
}

// hostBucket returns the bucket that a Host header names under one of hosts,
// in lower case, or "".
func hostBucket(host string, hosts []string) string {
	if len(hosts) == 0 {
		return ""
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	best, bucket := -1, ""
	for _, domain := range hosts {
		domain = strings.ToLower(strings.Trim(domain, "."))
		if domain == "" || len(domain) <= best || !strings.HasSuffix(host, domain) {
			continue
		}
		switch rest := host[:len(host)-len(domain)]; {
		case rest == "":
			best, bucket = len(domain), ""
		case len(rest) > 1 && rest[len(rest)-1] == '.':
			best, bucket = len(domain), rest[:len(rest)-1]
		}
	}
	return bucket
}

func unescapePath(raw string) (string, error) {
	if strings.IndexByte(raw, '%') < 0 {
		return raw, nil
	}
	s, err := url.PathUnescape(raw)
	if err != nil {
		return "", wire.New(wire.InvalidURI)
	}
	return s, nil
}

// MaxQueryParameters bounds the query parameters of one request.
const MaxQueryParameters = 256

// ParseQuery reads the raw query of a request. It differs from url.ParseQuery
// in that nothing is dropped silently: ';' is an ordinary character, and a bad
// escape is InvalidURI. A '+' is a space. The map is the caller's own.
func ParseQuery(raw string) (url.Values, error) {
	values := make(url.Values)
	count := 0
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		if count++; count > MaxQueryParameters {
			return nil, wire.New(wire.InvalidURI)
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := unescapeQuery(name)
		if err != nil {
			return nil, err
		}
		value, err = unescapeQuery(value)
		if err != nil {
			return nil, err
		}
		values[name] = append(values[name], value)
	}
	return values, nil
}

func unescapeQuery(raw string) (string, error) {
	if strings.IndexByte(raw, '%') < 0 && strings.IndexByte(raw, '+') < 0 {
		return raw, nil
	}
	s, err := url.QueryUnescape(raw)
	if err != nil {
		return "", wire.New(wire.InvalidURI)
	}
	return s, nil
}
