package sigv4

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/contender/contender/gateway/wire"
)

func mustBeWire(t *testing.T, err error) {
	t.Helper()
	var e *wire.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *wire.Error", err)
	}
}

func FuzzAuthorizationHeader(f *testing.F) {
	good := parse(f, exampleGet, nil).Header.Get("Authorization")
	f.Add(good, "20130524T000000Z", "/test.txt")
	f.Add("AWS4-HMAC-SHA256 Credential=/////,SignedHeaders=;;,Signature=", "", "/%")
	f.Add("AWS a:b", "Fri, 24 May 2013 00:00:00 GMT", "*")
	f.Fuzz(func(t *testing.T, authorization, date, uri string) {
		r := parse(t, exampleGet, nil)
		r.Header["Authorization"] = []string{authorization}
		r.Header["X-Amz-Date"] = []string{date}
		r.RequestURI = uri
		_, err := Verify(context.Background(), r, exampleOptions())
		if err != nil {
			mustBeWire(t, err)
		} else if !strings.HasPrefix(uri, "/test.txt") || !strings.Contains(authorization, "f0e8bdb87c96") && !strings.Contains(strings.ToLower(authorization), "f0e8bdb87c96") {
			t.Fatalf("accepted %q %q %q", authorization, date, uri)
		}
	})
}

func FuzzPresignedQuery(f *testing.F) {
	r := parse(f, examplePresigned, nil)
	_, query, _ := strings.Cut(r.RequestURI, "?")
	f.Add(query)
	f.Add("X-Amz-Signature=&&;%")
	f.Add("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%2F%2F%2F%2F&X-Amz-Date=x&X-Amz-Expires=9999999999999999999&X-Amz-SignedHeaders=host&X-Amz-Signature=1")
	f.Fuzz(func(t *testing.T, query string) {
		r := parse(t, examplePresigned, nil)
		r.RequestURI = "/test.txt?" + query
		res, err := Verify(context.Background(), r, exampleOptions())
		if err != nil {
			mustBeWire(t, err)
		} else if !res.Anonymous && !strings.Contains(strings.ToLower(query), "aeeed9bbccd4d02e") && !strings.Contains(query, "%") {
			t.Fatalf("accepted %q", query)
		}
	})
}

func FuzzChunks(f *testing.F) {
	f.Add("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", int64(5), uint8(PayloadUnsignedTrailer))
	f.Add("0\r\n\r\n", int64(0), uint8(PayloadUnsignedTrailer))
	f.Add("5;chunk-signature=00\r\nhello\r\n0;chunk-signature=\r\n\r\n", int64(5), uint8(PayloadChunked))
	f.Add("ffffffffffffffff\r\n", int64(1)<<62, uint8(PayloadUnsignedTrailer))
	f.Fuzz(func(t *testing.T, body string, length int64, kind uint8) {
		res := Result{Payload: PayloadChunked + Payload(kind%3), Time: exampleTime, scope: "s", seed: "x"}
		r := &http.Request{Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
		r.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(length))
		r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
		b, err := Body(r, res)
		if err != nil {
			mustBeWire(t, err)
			return
		}
		data, err := io.ReadAll(b)
		if err != nil {
			mustBeWire(t, err)
		}
		if err == nil && int64(len(data)) != length || err != nil && length > 0 && int64(len(data)) >= length {
			t.Fatalf("%d bytes of %d, %v", len(data), length, err)
		}
		if err == nil && res.Payload != PayloadUnsignedTrailer {
			t.Fatal("accepted without a signature")
		}
	})
}
