package gateway_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/contender/contender/gateway"
	"github.com/contender/contender/objectlayer"
)

// versioned is an object layer whose bucket has versions, as later ones will: what it returns must reach the client.
type versioned struct{ objectlayer.Objects }

func marker(kind objectlayer.Kind) error {
	return &objectlayer.Error{Kind: kind, Bucket: "ver", Key: "gone", Version: &objectlayer.Version{
		ID: "m1", Versioned: true, DeleteMarker: true, Modified: time.Unix(1e9, 0),
	}}
}

func (versioned) Head(_ context.Context, r objectlayer.GetRequest) (objectlayer.Reading, error) {
	switch {
	case r.Key == "gone" && r.VersionID == "":
		return objectlayer.Reading{}, marker(objectlayer.KindNoSuchKey)
	case r.Key == "gone":
		return objectlayer.Reading{}, marker(objectlayer.KindMethodNotAllowed)
	case r.VersionID == "none":
		return objectlayer.Reading{}, &objectlayer.Error{Kind: objectlayer.KindNoSuchVersion, Bucket: r.Bucket, Key: r.Key}
	}
	return objectlayer.Reading{Version: objectlayer.Version{ID: "v1", Versioned: true}}, nil
}

func (versioned) Put(context.Context, objectlayer.PutRequest, io.Reader) (objectlayer.Version, error) {
	return objectlayer.Version{ID: "v2", Versioned: true}, nil
}

func (versioned) Copy(context.Context, objectlayer.CopyRequest) (objectlayer.Copied, error) {
	return objectlayer.Copied{Version: objectlayer.Version{ID: "v3", Versioned: true}, SourceVersioned: true, SourceVersionID: "v1"}, nil
}

func (versioned) Delete(_ context.Context, r objectlayer.DeleteRequest) (objectlayer.Deletion, error) {
	if r.VersionID != "" {
		return objectlayer.Deletion{Key: r.Key, VersionID: r.VersionID}, nil
	}
	return objectlayer.Deletion{Key: r.Key, VersionID: "m2", DeleteMarker: true}, nil
}

func (versioned) DeleteMany(context.Context, string, []objectlayer.DeleteRequest) ([]objectlayer.Deletion, error) {
	return []objectlayer.Deletion{
		{Key: "a", VersionID: "m3", DeleteMarker: true, MarkerVersion: "m3"},
		{Key: "b", VersionID: "v1"},
		{Key: "c", Err: &objectlayer.Error{Kind: objectlayer.KindUnavailable}},
	}, nil
}

func TestVersionsReachTheClient(t *testing.T) {
	s := start(t, func(o *gateway.Options) { o.Objects = versioned{o.Objects} })
	s.bucket("ver")
	for _, c := range []struct {
		method, path string
		h            headers
		status       int
		code         string
		want         headers
	}{
		{http.MethodPut, "/ver/k", nil, 200, "", headers{"X-Amz-Version-Id": "v2"}},
		{http.MethodHead, "/ver/k", nil, 200, "", headers{"X-Amz-Version-Id": "v1"}},
		{http.MethodHead, "/ver/gone", nil, 404, "", headers{"X-Amz-Delete-Marker": "true", "X-Amz-Version-Id": "m1"}},
		{http.MethodHead, "/ver/gone?versionId=m1", nil, 405, "", headers{"X-Amz-Delete-Marker": "true", "Allow": "DELETE", "Last-Modified": "Sun, 09 Sep 2001 01:46:40 GMT"}},
		{http.MethodHead, "/ver/k?versionId=none", nil, 404, "", headers{"X-Amz-Version-Id": ""}},
		{http.MethodPut, "/ver/to", headers{"X-Amz-Copy-Source": "ver/k?versionId=v1"}, 200, "", headers{"X-Amz-Version-Id": "v3", "X-Amz-Copy-Source-Version-Id": "v1"}},
		{http.MethodDelete, "/ver/k", nil, 204, "", headers{"X-Amz-Version-Id": "m2", "X-Amz-Delete-Marker": "true"}},
		{http.MethodDelete, "/ver/k?versionId=v1", nil, 204, "", headers{"X-Amz-Version-Id": "v1", "X-Amz-Delete-Marker": ""}},
	} {
		r := s.want(c.status, c.code, c.method, c.path, c.h, "")
		for name, value := range c.want {
			if r.header.Get(name) != value {
				t.Errorf("%s %s: %s is %q, want %q", c.method, c.path, name, r.header.Get(name), value)
			}
		}
	}
	doc := "<Delete><Object><Key>a</Key></Object><Object><Key>b</Key><VersionId>v1</VersionId></Object><Object><Key>c</Key></Object></Delete>"
	r := s.want(200, "", http.MethodPost, "/ver?delete", headers{"Content-Md5": md5Of(doc)}, doc)
	for _, part := range []string{
		"<Deleted><Key>a</Key><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>m3</DeleteMarkerVersionId></Deleted>",
		"<Deleted><Key>b</Key><VersionId>v1</VersionId></Deleted>",
		"<Error><Key>c</Key><Code>SlowDown</Code>",
	} {
		if !strings.Contains(r.body, part) {
			t.Errorf("%s is not in %s", part, r.body)
		}
	}
}
