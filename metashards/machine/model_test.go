package machine_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/contender/contender/metashards/metapb"
)

// model is a bucket as S3 describes it, kept in the plainest way.
type model struct {
	versioning uint32
	generation uint64
	keys       map[string][]*metapb.Version // oldest first
	uploads    map[string]*modelUpload      // by upload id
	named      map[string]bool              // all blobs ever named by rows
	answers    map[string]*metapb.Result    // of applied requests
}

type modelUpload struct {
	key   string
	parts map[uint32]*metapb.Part
}

func newModel() *model {
	return &model{
		generation: 1, keys: map[string][]*metapb.Version{}, uploads: map[string]*modelUpload{}, named: map[string]bool{},
		answers: map[string]*metapb.Result{},
	}
}

func (m *model) newest(key string) *metapb.Version {
	if vs := m.keys[key]; len(vs) > 0 {
		return vs[len(vs)-1]
	}
	return nil
}

// holds judges a condition in S3's words.
func (m *model) holds(key string, c *metapb.Condition) metapb.Status {
	v := m.newest(key)
	exists := v != nil && !v.DeleteMarker
	if c == nil {
		return metapb.Status_OK
	}
	if c.IfAbsent && exists {
		return metapb.Status_PRECONDITION_FAILED
	}
	if c.IfMatch == "" {
		return metapb.Status_OK
	}
	if !exists {
		return metapb.Status_NO_SUCH_KEY
	}
	if c.IfMatch == "*" || strings.Trim(c.IfMatch, `"`) == modelETag(v) {
		return metapb.Status_OK
	}
	return metapb.Status_PRECONDITION_FAILED
}

func modelETag(v *metapb.Version) string {
	if v.EtagParts == 0 {
		return hex.EncodeToString(v.Etag)
	}
	return fmt.Sprintf("%x-%d", v.Etag, v.EtagParts)
}

// add puts a version on top of a key.
func (m *model) add(c *metapb.Command, v *metapb.Version) metapb.Status {
	key := string(c.Key)
	v.Time = c.Time
	if n := m.newest(key); n != nil && n.Time >= v.Time {
		v.Time = n.Time + 1
	}
	if m.versioning != 1 {
		v.NullVersion = true
		m.keys[key] = slices.DeleteFunc(m.keys[key], func(v *metapb.Version) bool { return v.NullVersion })
	}
	m.keys[key] = append(m.keys[key], v)
	return metapb.Status_OK
}

func (m *model) apply(c *metapb.Command) metapb.Status {
	if f := c.GetFence(); f != nil {
		m.generation, m.versioning = f.Fence.Generation, f.Fence.Versioning
		return metapb.Status_OK
	}
	if c.Generation != m.generation {
		return metapb.Status_STALE_GENERATION
	}
	switch op := c.Op.(type) {
	case *metapb.Command_Put:
		if s := m.holds(string(c.Key), op.Put.Condition); s != metapb.Status_OK {
			return s
		}
		v := op.Put.Version.CloneVT()
		if b := v.GetBlob(); b != nil {
			m.named[string(b.Id)] = true
		}
		return m.add(c, v)
	case *metapb.Command_Delete:
		return m.delete(c, op.Delete)
	case *metapb.Command_CreateUpload:
		m.uploads[string(op.CreateUpload.Upload.Id)] = &modelUpload{key: string(c.Key), parts: map[uint32]*metapb.Part{}}
	case *metapb.Command_PutPart:
		u := m.uploads[string(op.PutPart.Upload)]
		if u == nil {
			return metapb.Status_NO_SUCH_UPLOAD
		}
		u.parts[op.PutPart.Part.Number] = op.PutPart.Part
		m.named[string(op.PutPart.Part.Blob.Id)] = true
	case *metapb.Command_Complete:
		return m.complete(c, op.Complete)
	case *metapb.Command_Abort:
		if m.uploads[string(op.Abort.Upload)] == nil {
			return metapb.Status_NO_SUCH_UPLOAD
		}
		delete(m.uploads, string(op.Abort.Upload))
	}
	return metapb.Status_OK
}

func (m *model) delete(c *metapb.Command, d *metapb.DeleteVersion) metapb.Status {
	key := string(c.Key)
	if s := m.holds(key, d.Condition); s != metapb.Status_OK {
		return s
	}
	if d.VersionId == "" && m.versioning != 0 {
		return m.add(c, &metapb.Version{DeleteMarker: true, Nonce: d.Nonce})
	}
	m.keys[key] = slices.DeleteFunc(m.keys[key], func(v *metapb.Version) bool {
		return d.VersionId == "" || metapb.VersionID(v) == d.VersionId
	})
	return metapb.Status_OK
}

func (m *model) complete(c *metapb.Command, d *metapb.CompleteUpload) metapb.Status {
	u := m.uploads[string(d.Upload)]
	if u == nil {
		for _, v := range m.keys[string(c.Key)] {
			if bytes.Equal(v.Upload, d.Upload) {
				return metapb.Status_OK
			}
		}
		return metapb.Status_NO_SUCH_UPLOAD
	}
	v := &metapb.Version{Nonce: d.Nonce, EtagParts: uint32(len(d.Parts)), Upload: d.Upload}
	var etags []byte
	for i, want := range d.Parts {
		if i > 0 && d.Parts[i-1].Number >= want.Number {
			return metapb.Status_INVALID_PART_ORDER
		}
	}
	for _, want := range d.Parts {
		p := u.parts[want.Number]
		if p == nil || !bytes.Equal(p.Etag, want.Etag) {
			return metapb.Status_INVALID_PART
		}
		v.Size += p.Size
		v.Parts = append(v.Parts, p)
		etags = append(etags, p.Etag...)
	}
	sum := md5.Sum(etags)
	v.Etag = sum[:]
	if s := m.holds(string(c.Key), d.Condition); s != metapb.Status_OK {
		return s
	}
	delete(m.uploads, string(d.Upload))
	return m.add(c, v)
}
