// Package s3object answers the S3 operations on objects: one file for each.
package s3object

import (
	"errors"
	"net/http"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// Handlers carries out the operations on objects. It is safe for concurrent use.
type Handlers struct {
	objects     objectlayer.Objects
	xmlBytesMax int64
}

// New returns the handlers over objects; documents from clients may have xmlBytesMax bytes.
func New(objects objectlayer.Objects, xmlBytesMax int64) *Handlers {
	return &Handlers{objects: objects, xmlBytesMax: xmlBytesMax}
}

// versionID reads the versionId parameter: an empty one is refused, it names nothing.
func versionID(c *call.Call) (string, error) {
	v, present := c.Query["versionId"]
	if !present {
		return "", nil
	}
	if v[0] == "" {
		return "", wire.BadArgument("versionId", "", "Version id cannot be the empty string")
	}
	return v[0], nil
}

// tellVersion sets the headers that go with a refused read: which version has not changed, or that the current one is
// a delete marker. It returns err for the front.
func tellVersion(c *call.Call, err error) error {
	var e *objectlayer.Error
	if !errors.As(err, &e) || e.Version == nil {
		return err
	}
	v, h := e.Version, c.ResponseHeader()
	c.SetVersion(v)
	switch e.Kind {
	case objectlayer.KindNotModified:
		c.SetETag(v.ETag)
		h.Set("Last-Modified", call.HTTPTime(v.Modified))
		for name, value := range map[string]string{"Cache-Control": v.Attributes.CacheControl, "Expires": v.Attributes.Expires} {
			if value != "" {
				h.Set(name, value)
			}
		}
	case objectlayer.KindNoSuchKey, objectlayer.KindMethodNotAllowed:
		if v.DeleteMarker {
			h.Set("X-Amz-Delete-Marker", "true")
		}
		if e.Kind == objectlayer.KindMethodNotAllowed {
			h.Set("Last-Modified", call.HTTPTime(v.Modified))
			h.Set("Allow", http.MethodDelete)
		}
	}
	return err
}
