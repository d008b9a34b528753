package route

import (
	"net/http"
	"net/url"
	"sort"
	"strings"

	"github.com/contender/contender/gateway/wire"
)

// writeGetObjectResponse is the one request whose path is neither bucket nor
// key; no bucket can have this name (it has capitals).
const writeGetObjectResponse = "WriteGetObjectResponse"

// Operation names the S3 operation of a request. query is what ParseQuery
// returned, header the request's. Errors are *wire.Error:
//
//	NotImplemented     a sub-resource that S3's model does not hold
//	MethodNotAllowed   a method that the target or sub-resource does not take
//	InvalidRequest     a sub-resource of buckets asked of a key, or the reverse
//	InvalidArgument    two sub-resources at once, or half of uploadId and partNumber
//
// Query parameters that S3 does not know but that carry a value are ignored,
// as AWS does; without a value they count as a sub-resource.
func Operation(method string, target Target, query url.Values, header http.Header) (Op, error) {
	level := target.Level()
	if method == http.MethodOptions {
		return OptionsObject, nil
	}
	if target.Bucket == writeGetObjectResponse && target.Key == "" && method == http.MethodPost {
		return WriteGetObjectResponse, nil
	}
	sub, err := subResource(query)
	if err != nil {
		return "", err
	}
	if err := checkPut(method, level, sub, query); err != nil {
		return "", err
	}
	copySource := method == http.MethodPut && hasCopySource(query, header)
	for i := range table {
		t := &table[i]
		if t.level != level || t.sub != sub || t.method != method || t.copySource && !copySource {
			continue
		}
		if t.with != "" && !present(query, t.with) {
			continue
		}
		if t.op == ListObjectsV2 && query.Get("list-type") != "2" {
			continue
		}
		if t.named && query.Get("x-id") != string(t.op) {
			continue
		}
		return t.op, nil
	}
	if method == http.MethodPost && level == LevelBucket && sub == "" && isForm(header) {
		return PostObject, nil
	}
	return "", refuse(method, level, sub)
}

// refuse finds out why no row fits: the sub-resource belongs to the other
// level, or the method to nothing here.
func refuse(method string, level Level, sub string) error {
	for i := range table {
		t := &table[i]
		if sub == "" || t.sub != sub || t.method != method || t.level == level {
			continue
		}
		if level == LevelObject {
			return wire.Newf(wire.InvalidRequest, "Key is not expected for the %s method ?%s subresource", method, sub)
		}
		return wire.Newf(wire.InvalidRequest, "A key must be specified")
	}
	return wire.New(wire.MethodNotAllowed).With("Method", method).With("ResourceType", resourceType(level, sub))
}

func resourceType(level Level, sub string) string {
	switch {
	case sub != "":
		return strings.ToUpper(sub)
	case level == LevelObject:
		return "OBJECT"
	case level == LevelBucket:
		return "BUCKET"
	}
	return "SERVICE"
}

// subResource returns the one sub-resource that the query names, or "".
func subResource(query url.Values) (string, error) {
	sub := ""
	for name, values := range query {
		if isParameter(name) {
			continue
		}
		if !isSubResource(name) {
			if len(values) > 0 && values[0] != "" {
				continue
			}
			return "", wire.Newf(wire.NotImplemented, "The sub-resource that you asked for is not implemented").With("Resource", name)
		}
		if sub != "" {
			pair := []string{sub, name}
			sort.Strings(pair)
			return "", wire.BadArgument("ResourceType", pair[0], "Conflicting query string parameters: "+strings.Join(pair, ", "))
		}
		sub = name
	}
	return sub, nil
}

// checkPut refuses a PUT of an object that names half of a part, or a version
// to overwrite: it must not become a plain PUT.
func checkPut(method string, level Level, sub string, query url.Values) error {
	if method != http.MethodPut || level != LevelObject {
		return nil
	}
	part, upload := present(query, "partNumber"), sub == "uploadId"
	switch {
	case part && !upload:
		return wire.BadArgument("partNumber", query.Get("partNumber"), "This operation does not accept partNumber without uploadId")
	case sub == "" && present(query, "versionId"):
		return wire.BadArgument("versionId", query.Get("versionId"), "This operation does not accept a version-id.")
	case upload && !part:
		return wire.BadArgument("uploadId", query.Get("uploadId"), "This operation does not accept uploadId without partNumber")
	}
	return nil
}

func present(query url.Values, name string) bool {
	_, ok := query[name]
	return ok
}

// hasCopySource looks in the query too: a presigned request may carry its
// x-amz headers there.
func hasCopySource(query url.Values, header http.Header) bool {
	if _, ok := header["X-Amz-Copy-Source"]; ok {
		return true
	}
	for name := range query {
		if len(name) == len("x-amz-copy-source") && strings.EqualFold(name, "x-amz-copy-source") {
			return true
		}
	}
	return false
}

func isForm(header http.Header) bool {
	return strings.HasPrefix(strings.ToLower(header.Get("Content-Type")), "multipart/form-data")
}

func isSubResource(name string) bool {
	for i := range table {
		if table[i].sub == name {
			return name != ""
		}
	}
	return false
}

// isParameter reports whether a query name is a parameter of operations or of
// signatures, and so never a sub-resource.
func isParameter(name string) bool {
	switch name {
	case "x-id", "versionId", "partNumber", "list-type", "prefix", "delimiter", "marker",
		"max-keys", "encoding-type", "continuation-token", "start-after", "fetch-owner",
		"key-marker", "version-id-marker", "upload-id-marker", "max-uploads", "max-parts",
		"part-number-marker", "id", "select-type", "max-buckets", "bucket-region",
		"max-directory-buckets", "annotationName", "annotation-prefix", "max-annotation-results",
		"response-cache-control", "response-content-disposition", "response-content-encoding",
		"response-content-language", "response-content-type", "response-expires",
		"AWSAccessKeyId", "Signature", "Expires":
		return true
	}
	return len(name) > 6 && strings.EqualFold(name[:6], "x-amz-")
}
