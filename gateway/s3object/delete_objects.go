package s3object

import (
	"bytes"
	"context"
	"net/http"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// DeleteObjects removes up to 1,000 keys or versions; each succeeds or fails by itself. The document must come with
// Content-MD5 or a checksum.
func (s *Handlers) DeleteObjects(ctx context.Context, c *call.Call) error {
	raw, err := c.Document(min(s.xmlBytesMax, wire.MaxDeleteBytes), true)
	if err != nil {
		return err
	}
	doc, err := wire.DecodeDelete(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	requests := make([]objectlayer.DeleteRequest, 0, len(doc.Objects))
	var result wire.DeleteResult
	for _, k := range doc.Objects {
		if err := wire.CheckKey(k.Key); err != nil {
			result.Errors = append(result.Errors, wire.DeleteFailure{Key: k.Key, VersionID: k.VersionID, Err: wire.AsError(err)})
			continue
		}
		requests = append(requests, objectlayer.DeleteRequest{
			Bucket: c.Bucket, Key: k.Key, VersionID: k.VersionID, Conditions: call.KeyConditions(k), Owner: c.Owner(),
		})
	}
	done, err := s.objects.DeleteMany(ctx, c.Bucket, requests)
	if err != nil {
		return err
	}
	for i, d := range done {
		q := &requests[i]
		if d.Err != nil {
			result.Errors = append(result.Errors, wire.DeleteFailure{Key: q.Key, VersionID: q.VersionID, Err: c.WireError(d.Err)})
			continue
		}
		if doc.Quiet {
			continue
		}
		w := wire.Deleted{Key: q.Key, VersionID: q.VersionID, DeleteMarker: d.DeleteMarker}
		if d.DeleteMarker {
			w.DeleteMarkerVersionID = d.MarkerVersion
			if w.DeleteMarkerVersionID == "" {
				w.DeleteMarkerVersionID = d.VersionID
			}
		}
		result.Deleted = append(result.Deleted, w)
	}
	return c.XML(http.StatusOK, result.AppendXML(nil))
}
