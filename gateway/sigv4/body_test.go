package sigv4

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	sha256 "github.com/minio/sha256-simd"

	"github.com/contender/contender/gateway/wire"
)

const (
	exampleChunked = `PUT /examplebucket/chunkObject.txt HTTP/1.1
Host: s3.amazonaws.com
x-amz-date: 20130524T000000Z
x-amz-storage-class: REDUCED_REDUNDANCY
Authorization: AWS4-HMAC-SHA256 Credential=` + exampleScope + `,SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class,Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9
x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD
Content-Encoding: aws-chunked
x-amz-decoded-content-length: 66560
Content-Length: 66824
`
	exampleTrailer = `PUT /examplebucket/chunkObject.txt HTTP/1.1
Host: s3.amazonaws.com
x-amz-date: 20130524T000000Z
x-amz-storage-class: REDUCED_REDUNDANCY
Authorization: AWS4-HMAC-SHA256 Credential=` + exampleScope + `,SignedHeaders=content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer,Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e
x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER
Content-Encoding: aws-chunked
x-amz-decoded-content-length: 66560
x-amz-trailer: x-amz-checksum-crc32c
Content-Length: 66946
`
)

func exampleChunks() string {
	return "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + strings.Repeat("a", 65536) +
		"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + strings.Repeat("a", 1024) +
		"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
}

func exampleTrailed() string {
	return "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" + strings.Repeat("a", 65536) +
		"\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" + strings.Repeat("a", 1024) +
		"\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n" +
		"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
}

// readBody verifies a request and reads its body wholly.
func readBody(t testing.TB, head, body string, wrap func(io.Reader) io.Reader) (*BodyReader, []byte, error) {
	t.Helper()
	r := parse(t, head, wrap(strings.NewReader(body)))
	res, err := Verify(context.Background(), r, exampleOptions())
	if err != nil {
		t.Fatal(err)
	}
	b, err := Body(r, res)
	if err != nil {
		return nil, nil, err
	}
	data, err := io.ReadAll(b)
	return b, data, err
}

func asIs(r io.Reader) io.Reader { return r }

func TestBodyPublishedExamples(t *testing.T) {
	if len(exampleChunks()) != 66824 {
		t.Fatalf("the example has %d bytes", len(exampleChunks()))
	}
	for name, c := range map[string]struct {
		head, body, want string
		trailer          string
	}{
		"plain":   {examplePut, "Welcome to Amazon S3.", "Welcome to Amazon S3.", ""},
		"chunked": {exampleChunked, exampleChunks(), strings.Repeat("a", 66560), ""},
		"trailer": {exampleTrailer, exampleTrailed(), strings.Repeat("a", 66560), "sOO8/Q=="},
		// the documentation's own layout of the trailer
		"trailer, other line ends": {exampleTrailer, strings.Replace(exampleTrailed(), "sOO8/Q==\r\n", "sOO8/Q==\n\r\n", 1), strings.Repeat("a", 66560), "sOO8/Q=="},
	} {
		for wrapName, wrap := range map[string]func(io.Reader) io.Reader{
			"as is": asIs, "byte by byte": iotest.OneByteReader, "data with error": iotest.DataErrReader, "halves": iotest.HalfReader,
		} {
			b, data, err := readBody(t, c.head, c.body, wrap)
			if err != nil || string(data) != c.want {
				t.Errorf("%s, %s: %d bytes, %v", name, wrapName, len(data), err)
				continue
			}
			if b.Length() != int64(len(c.want)) || b.Trailer().Get("x-amz-checksum-crc32c") != c.trailer {
				t.Errorf("%s: length %d, trailer %v", name, b.Length(), b.Trailer())
			}
		}
	}
}

// Whatever is changed, the reader ends in an error and never gives the last
// byte.
func TestBodyRefuses(t *testing.T) {
	chunked, trailed := exampleChunks(), exampleTrailed()
	replace := func(s, old, new string) string {
		if !strings.Contains(s, old) {
			t.Fatalf("%q not found", old)
		}
		return strings.Replace(s, old, new, 1)
	}
	for _, c := range []struct {
		name, head, body string
		code             wire.Code
	}{
		{"plain data", examplePut, "Welcome to Amazon S4.", wire.XAmzContentSHA256Mismatch},
		{"plain short", examplePut, "Welcome to Amazon S3", wire.IncompleteBody},
		{"first data", exampleChunked, replace(chunked, "648\r\na", "648\r\nb"), wire.SignatureDoesNotMatch},
		{"last data", exampleChunked, replace(chunked, "a\r\n0;", "b\r\n0;"), wire.SignatureDoesNotMatch},
		{"first signature", exampleChunked, replace(chunked, "=ad80", "=ad81"), wire.SignatureDoesNotMatch},
		{"second signature", exampleChunked, replace(chunked, "=0055", "=0056"), wire.SignatureDoesNotMatch},
		{"closing signature", exampleChunked, replace(chunked, "=b6c6", "=b6c7"), wire.SignatureDoesNotMatch},
		{"no signature", exampleChunked, replace(chunked, ";chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9", ""), wire.SignatureDoesNotMatch},
		{"no closing chunk", exampleChunked, chunked[:strings.Index(chunked, "\r\n0;")+2], wire.IncompleteBody},
		{"cut in data", exampleChunked, chunked[:40000], wire.IncompleteBody},
		{"cut in header", exampleChunked, chunked[:30], wire.IncompleteBody},
		{"closed early", exampleChunked, chunked[strings.Index(chunked, "\r\n0;")+2:], wire.IncompleteBody},
		{"behind the end", exampleChunked, chunked + "x", wire.MalformedTrailerError},
		{"trailer not announced", exampleChunked, chunked + "x-amz-meta-a:b\r\n", wire.MalformedTrailerError},
		{"chunk too large", exampleChunked, "7fffffffffffffff" + chunked[5:], wire.IncompleteBody},
		{"chunk size negative", exampleChunked, "-" + chunked, wire.IncompleteBody},
		{"chunk size overflows", exampleChunked, "fffffffffffffffff" + chunked[5:], wire.IncompleteBody},
		{"chunk header endless", exampleChunked, strings.Repeat("0", 10000), wire.IncompleteBody},
		{"chunk header long", exampleChunked, strings.Repeat("0", 300) + chunked, wire.IncompleteBody},
		{"bare line end", exampleChunked, replace(chunked, "648\r\n", "648\n"), wire.IncompleteBody},
		{"no line end behind data", exampleChunked, replace(chunked, "a\r\n400", "axx400"), wire.IncompleteBody},
		{"empty", exampleChunked, "", wire.IncompleteBody},
		{"trailer value", exampleTrailer, replace(trailed, "sOO8", "sOO9"), wire.SignatureDoesNotMatch},
		{"trailer name", exampleTrailer, replace(trailed, "crc32c", "crc32"), wire.MalformedTrailerError},
		{"trailer signature", exampleTrailer, replace(trailed, "d81f", "d81e"), wire.SignatureDoesNotMatch},
		{"no trailer signature", exampleTrailer, replace(trailed, "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n", ""), wire.SignatureDoesNotMatch},
		{"no trailer", exampleTrailer, replace(trailed, "x-amz-checksum-crc32c:sOO8/Q==\r\n", ""), wire.SignatureDoesNotMatch},
		{"trailer behind its signature", exampleTrailer, trailed + "x-amz-checksum-crc32c:sOO8/Q==\r\n", wire.MalformedTrailerError},
		{"trailer twice", exampleTrailer, replace(trailed, "x-amz-checksum-crc32c:", "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-checksum-crc32c:"), wire.MalformedTrailerError},
		{"trailer endless", exampleTrailer, trailed + strings.Repeat("\r\n", MaxTrailerBytes), wire.MalformedTrailerError},
	} {
		b, data, err := readBody(t, c.head, c.body, asIs)
		if !errors.Is(err, c.code) {
			t.Errorf("%s: %v; want %s", c.name, err, c.code)
		}
		if b != nil && int64(len(data)) >= b.Length() {
			t.Errorf("%s: the last byte was given", c.name)
		}
		if b != nil && b.Trailer() != nil {
			t.Errorf("%s: a trailer was given", c.name)
		}
		if b != nil {
			if _, again := b.Read(make([]byte, 10)); !errors.Is(again, c.code) {
				t.Errorf("%s: the next Read gives %v", c.name, again)
			}
		}
	}
}

// A reader of exactly the announced bytes has a verified body without asking
// for io.EOF.
func TestBodyExactRead(t *testing.T) {
	for _, good := range []bool{true, false} {
		text := exampleTrailed()
		if !good {
			text = strings.Replace(text, "sOO8", "sOO9", 1)
		}
		r := parse(t, exampleTrailer, strings.NewReader(text))
		res, err := Verify(context.Background(), r, exampleOptions())
		if err != nil {
			t.Fatal(err)
		}
		b, err := Body(r, res)
		if err != nil {
			t.Fatal(err)
		}
		if b.Trailer() != nil {
			t.Error("a trailer before the end")
		}
		_, err = io.ReadFull(b, make([]byte, b.Length()))
		if good != (err == nil) || good != (b.Trailer() != nil) {
			t.Errorf("%v: %v, trailer %v", good, err, b.Trailer())
		}
	}
}

// chunkedRequest is a signed or unsigned chunked upload made by this test's own
// signer, for shapes that the published examples lack.
func chunkedRequest(kind Payload, declared int, trailer string, chunkSizes ...int) (*http.Request, Result) {
	res := Result{Payload: kind, Time: exampleTime, scope: "20130524/us-east-1/s3/aws4_request", key: deriveKey("s", "20130524", "us-east-1", "s3"), seed: strings.Repeat("0", 64)}
	var body bytes.Buffer
	prior := res.seed
	next := func(text, sums string) string {
		sum := sign(res.key[:], []byte(text+"\n20130524T000000Z\n"+res.scope+"\n"+prior+"\n"+sums))
		prior = hex.EncodeToString(sum[:])
		return prior
	}
	for _, n := range append(chunkSizes, 0) {
		data := strings.Repeat("x", n)
		fmt.Fprintf(&body, "%x", n)
		if kind != PayloadUnsignedTrailer {
			sum := sha256.Sum256([]byte(data))
			body.WriteString(";chunk-signature=" + next("AWS4-HMAC-SHA256-PAYLOAD", emptySHA256+"\n"+hex.EncodeToString(sum[:])))
		}
		body.WriteString("\r\n" + data)
		if n > 0 {
			body.WriteString("\r\n")
		}
	}
	r := &http.Request{Header: http.Header{}}
	if trailer != "" {
		name, _, _ := strings.Cut(trailer, ":")
		r.Header.Set("X-Amz-Trailer", name)
		body.WriteString(trailer + "\r\n")
	}
	if kind == PayloadChunkedTrailer {
		text := ""
		if trailer != "" {
			text = trailer + "\n"
		}
		sum := sha256.Sum256([]byte(text))
		body.WriteString("x-amz-trailer-signature:" + next("AWS4-HMAC-SHA256-TRAILER", hex.EncodeToString(sum[:])) + "\r\n")
	}
	body.WriteString("\r\n")
	r.Body = io.NopCloser(&body)
	r.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(declared))
	return r, res
}

func TestBodyShapes(t *testing.T) {
	const crc = "x-amz-checksum-crc32:AAAAAA=="
	for _, c := range []struct {
		name     string
		kind     Payload
		declared int
		trailer  string
		sizes    []int
		code     wire.Code
	}{
		{"nothing", PayloadChunked, 0, "", nil, ""},
		{"nothing with trailer", PayloadUnsignedTrailer, 0, crc, nil, ""},
		{"nothing with signed trailer", PayloadChunkedTrailer, 0, crc, nil, ""},
		{"signed, no trailer", PayloadChunkedTrailer, 5, "", []int{5}, ""},
		{"one byte", PayloadChunked, 1, "", []int{1}, ""},
		{"many", PayloadChunkedTrailer, 3*65536 + 1, crc, []int{65536, 65536, 65536, 1}, ""},
		{"unsigned many", PayloadUnsignedTrailer, 20010, crc, []int{10, 20000}, ""},
		{"one large", PayloadChunked, 3 << 20, "", []int{3 << 20}, ""},
		{"small chunk in front", PayloadChunked, 8192, "", []int{8191, 1}, wire.InvalidChunkSizeError},
		{"less than announced", PayloadChunked, 9000, "", []int{8999}, wire.IncompleteBody},
		{"more than announced in a chunk", PayloadChunked, 9000, "", []int{9001}, wire.IncompleteBody},
		{"more than announced in chunks", PayloadChunked, 9000, "", []int{9000, 1}, wire.IncompleteBody},
		{"unsigned less", PayloadUnsignedTrailer, 9, crc, []int{8}, wire.IncompleteBody},
		{"unsigned more", PayloadUnsignedTrailer, 7, crc, []int{7, 1}, wire.IncompleteBody},
		{"data where none is due", PayloadUnsignedTrailer, 0, crc, []int{1}, wire.IncompleteBody},
	} {
		r, res := chunkedRequest(c.kind, c.declared, c.trailer, c.sizes...)
		b, err := Body(r, res)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, b)
		if c.code == "" && (err != nil || n != int64(c.declared)) || c.code != "" && !errors.Is(err, c.code) {
			t.Errorf("%s: %d, %v; want %q", c.name, n, err, c.code)
		}
		if c.code == "" && c.trailer != "" && b.Trailer().Get("X-Amz-Checksum-Crc32") != "AAAAAA==" {
			t.Errorf("%s: trailer %v", c.name, b.Trailer())
		}
	}
}

func TestBodyLength(t *testing.T) {
	for text, code := range map[string]wire.Code{"": wire.MissingContentLength, "x": wire.InvalidArgument, "-1": wire.InvalidArgument, "9999999999999999999": wire.InvalidArgument} {
		r := &http.Request{Header: http.Header{}}
		if text != "" {
			r.Header.Set("X-Amz-Decoded-Content-Length", text)
		}
		if _, err := Body(r, Result{Payload: PayloadUnsignedTrailer}); !errors.Is(err, code) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestBodyPlainOfUnknownLength(t *testing.T) {
	r := &http.Request{Header: http.Header{}, ContentLength: -1, Body: io.NopCloser(strings.NewReader("abc"))}
	b, err := Body(r, Result{Payload: PayloadSHA256, PayloadHash: sha256.Sum256([]byte("abc"))})
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(b); string(data) != "abc" || err != nil || b.Length() != -1 {
		t.Error(data, err)
	}
	r.Body = io.NopCloser(strings.NewReader("abd"))
	b, err = Body(r, Result{Payload: PayloadSHA256, PayloadHash: sha256.Sum256([]byte("abc"))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(b); !errors.Is(err, wire.XAmzContentSHA256Mismatch) {
		t.Error(err)
	}
}

func TestBodyPassesConnectionErrorsOn(t *testing.T) {
	gone := errors.New("connection reset")
	r := &http.Request{Header: http.Header{}, ContentLength: 5, Body: io.NopCloser(io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(gone)))}
	b, err := Body(r, Result{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(b); !errors.Is(err, gone) {
		t.Error(err)
	}
	r.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
	b, err = Body(r, Result{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(b); !errors.Is(err, wire.IncompleteBody) {
		t.Error(err)
	}
}

func BenchmarkBody(b *testing.B) {
	for name, kind := range map[string]Payload{"signed": PayloadChunked, "unsigned": PayloadUnsignedTrailer} {
		b.Run(name, func(b *testing.B) {
			sizes := make([]int, 16)
			for i := range sizes {
				sizes[i] = 65536
			}
			r, res := chunkedRequest(kind, 1<<20, "", sizes...)
			raw, _ := io.ReadAll(r.Body)
			buf := make([]byte, 128<<10)
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			for b.Loop() {
				r.Body = io.NopCloser(bytes.NewReader(raw))
				body, err := Body(r, res)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
