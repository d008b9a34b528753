package call

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// StorageClassStandard is the class of an object that names none.
const StorageClassStandard = "STANDARD"

// Bounds of what a request says of an object.
const (
	systemBytesMax   = 8 << 10 // headers that are kept, user metadata aside
	tagsMax          = 10
	tagKeyMax        = 128 // characters
	tagValueMax      = 256 // characters
	redirectBytesMax = 2 << 10
)

// defaultContentType is what S3 says of an object whose client named no type.
const defaultContentType = "binary/octet-stream"

// Attributes reads what the request says of the object that it makes.
func (c *Call) Attributes() (objectlayer.Attributes, error) {
	h := c.Header
	a := objectlayer.Attributes{
		ContentType: h.Get("Content-Type"), CacheControl: h.Get("Cache-Control"),
		ContentDisposition: h.Get("Content-Disposition"), ContentEncoding: wire.ContentEncoding(h),
		ContentLanguage: h.Get("Content-Language"), Expires: h.Get("Expires"),
		WebsiteRedirect: h.Get("X-Amz-Website-Redirect-Location"),
	}
	if a.ContentType == "" {
		a.ContentType = defaultContentType
	}
	if err := checkSystem(&a); err != nil {
		return a, err
	}
	meta, err := wire.ParseMetadata(h)
	if err != nil {
		return a, err
	}
	for _, m := range meta {
		if a.User == nil {
			a.User = make(map[string]string, len(meta))
		}
		a.User[m.Name] = m.Value
	}
	if a.StorageClass, err = storageClass(h.Get("X-Amz-Storage-Class")); err != nil {
		return a, err
	}
	a.Tags, err = tags(h.Get("X-Amz-Tagging"))
	return a, err
}

func checkSystem(a *objectlayer.Attributes) error {
	size := 0
	for _, v := range []string{
		a.ContentType, a.CacheControl, a.ContentDisposition, a.ContentEncoding, a.ContentLanguage, a.Expires, a.WebsiteRedirect,
	} {
		size += len(v)
		if !utf8.ValidString(v) {
			return wire.Newf(wire.InvalidArgument, "A header that is kept with the object is not UTF-8")
		}
	}
	if size > systemBytesMax {
		return wire.New(wire.RequestHeaderSectionTooLarge).WithInt("MaxSizeAllowed", systemBytesMax)
	}
	r := a.WebsiteRedirect
	if r == "" || len(r) <= redirectBytesMax && (r[0] == '/' || strings.HasPrefix(r, "http://") || strings.HasPrefix(r, "https://")) {
		return nil
	}
	return wire.BadArgument("x-amz-website-redirect-location", r,
		"The website redirect location must have a prefix of 'http://' or 'https://' or '/'.")
}

// storageClass returns the class to keep, "" if none was named. A class whose objects cannot be read at once is
// refused: it would promise what this store does not do.
func storageClass(name string) (string, error) {
	switch name {
	case "", StorageClassStandard, "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR":
		return name, nil
	case "GLACIER", "DEEP_ARCHIVE", "OUTPOSTS", "SNOW", "EXPRESS_ONEZONE", "FSX_OPENZFS", "FSX_ONTAP":
		return "", wire.NotImplementedHeader("x-amz-storage-class", name)
	}
	return "", wire.New(wire.InvalidStorageClass).With("StorageClassRequested", name)
}

// tags reads x-amz-tagging: a query string of tags.
func tags(header string) (map[string]string, error) {
	if header == "" {
		return nil, nil
	}
	values, err := url.ParseQuery(header)
	if err != nil {
		return nil, wire.BadArgument("x-amz-tagging", header, "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
	}
	if len(values) > tagsMax {
		return nil, wire.Newf(wire.BadRequest, "Object tags cannot be greater than %d", tagsMax)
	}
	out := make(map[string]string, len(values))
	for key, vs := range values {
		switch {
		case len(vs) != 1:
			return nil, wire.Newf(wire.InvalidTag, "Cannot provide multiple Tags with the same key").With("TagKey", key)
		case key == "" || utf8.RuneCountInString(key) > tagKeyMax || !utf8.ValidString(key) || strings.HasPrefix(key, "aws:"):
			return nil, wire.Newf(wire.InvalidTag, "The TagKey you have provided is invalid").With("TagKey", key)
		case utf8.RuneCountInString(vs[0]) > tagValueMax || !utf8.ValidString(vs[0]):
			return nil, wire.Newf(wire.InvalidTag, "The TagValue you have provided is invalid").With("TagKey", key).With("TagValue", vs[0])
		}
		out[key] = vs[0]
	}
	return out, nil
}

// SetAttributes sets the headers of an answer that tells of a version's attributes.
func (c *Call) SetAttributes(a *objectlayer.Attributes) {
	h := c.ResponseHeader()
	set(h, "Content-Type", a.ContentType)
	set(h, "Cache-Control", a.CacheControl)
	set(h, "Content-Disposition", a.ContentDisposition)
	set(h, "Content-Encoding", a.ContentEncoding)
	set(h, "Content-Language", a.ContentLanguage)
	set(h, "Expires", a.Expires)
	set(h, "X-Amz-Website-Redirect-Location", a.WebsiteRedirect)
	if a.StorageClass != StorageClassStandard {
		set(h, "X-Amz-Storage-Class", a.StorageClass)
	}
	if len(a.Tags) > 0 {
		h.Set("X-Amz-Tagging-Count", strconv.Itoa(len(a.Tags)))
	}
	list := make([]wire.Metadata, 0, len(a.User))
	for _, name := range slices.Sorted(maps.Keys(a.User)) {
		list = append(list, wire.Metadata{Name: name, Value: a.User[name]})
	}
	// Clients that keep the case of header names take the metadata's names from them: lower case, as S3 sends them.
	meta := make(http.Header, len(list))
	wire.SetMetadata(meta, list)
	for name, values := range meta {
		h[strings.ToLower(name)] = values
	}
}

func set(h http.Header, name, value string) {
	if value != "" {
		h.Set(name, value)
	}
}

// SetVersion tells the version id of v, if the bucket has versions.
func (c *Call) SetVersion(v *objectlayer.Version) {
	if v.Versioned {
		set(c.ResponseHeader(), "X-Amz-Version-Id", v.ID)
	}
}

// SetETag sets the ETag of an answer, quoted.
func (c *Call) SetETag(e objectlayer.ETag) { c.ResponseHeader().Set("Etag", `"`+e.String()+`"`) }

// ClassName is the storage class as lists show it.
func ClassName(class string) string {
	if class == "" {
		return StorageClassStandard
	}
	return class
}
