package gateway

import (
	"net/http"
	"strings"

	"github.com/contender/contender/gateway/route"
	"github.com/contender/contender/gateway/wire"
)

// A header that changes what a request means is never ignored: where this server does not carry the meaning out, the
// request is refused with NotImplemented. This file is the one list of such headers.

// unkept are beginnings of headers that this server can keep for no operation: encryption, locks and grants.
var unkept = [...]string{
	"X-Amz-Server-Side-Encryption",
	"X-Amz-Copy-Source-Server-Side-Encryption",
	"X-Amz-Object-Lock-",
	"X-Amz-Grant-",
	"X-Amz-Write-Offset-Bytes",
	"X-Amz-Rename-Source",
	"X-Amz-Object-If-",
	"X-Amz-If-Match-Initiated-Time",
}

// keptBy says which operations carry out a header; others refuse it when they write.
var keptBy = [...]struct {
	header string
	ops    []route.Op
}{
	{"If-Match", []route.Op{route.PutObject, route.CopyObject, route.CompleteMultipartUpload, route.DeleteObject}},
	{"If-None-Match", []route.Op{route.PutObject, route.CopyObject, route.CompleteMultipartUpload}},
	{"If-Modified-Since", nil},
	{"If-Unmodified-Since", nil},
	{"X-Amz-If-Match-Last-Modified-Time", []route.Op{route.DeleteObject}},
	{"X-Amz-If-Match-Size", []route.Op{route.DeleteObject}},
	{"X-Amz-Copy-Source", []route.Op{route.CopyObject, route.UploadPartCopy}},
	{"X-Amz-Copy-Source-Range", []route.Op{route.UploadPartCopy}},
	{"Content-Range", nil},
	{"Range", nil},
}

// checkMeaning refuses headers whose meaning op would not carry out.
func checkMeaning(op route.Op, h http.Header) error {
	for name, values := range h {
		for _, prefix := range unkept {
			if strings.HasPrefix(name, prefix) {
				return wire.NotImplementedHeader(strings.ToLower(name), shown(name, values))
			}
		}
	}
	switch acl := h.Get("X-Amz-Acl"); acl {
	case "", "private", "bucket-owner-full-control":
	default:
		return wire.NotImplementedHeader("x-amz-acl", acl)
	}
	if op.Read() {
		return nil
	}
	for _, k := range keptBy {
		if values, present := h[k.header]; present && !has(k.ops, op) {
			return wire.NotImplementedHeader(k.header, shown(k.header, values))
		}
	}
	return nil
}

// shown is the value of a refused header as the answer may repeat it: keys of clients are not repeated.
func shown(name string, values []string) string {
	if strings.Contains(name, "Key") || strings.Contains(name, "Token") {
		return ""
	}
	return strings.Join(values, ",")
}

func has(ops []route.Op, op route.Op) bool {
	for _, o := range ops {
		if o == op {
			return true
		}
	}
	return false
}
