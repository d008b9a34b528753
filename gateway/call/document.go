package call

import (
	"bytes"
	"crypto/md5"  //nolint:gosec // S3's Content-MD5
	"crypto/sha1" //nolint:gosec // S3's x-amz-checksum-sha1
	"crypto/sha256"
	"hash"
	"hash/crc32"
	"io"

	"github.com/minio/crc64nvme"

	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// Document reads the whole body of a request that carries XML, at most max bytes of it, and verifies Content-MD5 and
// checksum if they are there. With demand one of them must be.
func (c *Call) Document(max int64, demand bool) ([]byte, error) {
	want, err := c.Expect()
	if err != nil {
		return nil, err
	}
	if demand && want.MD5 == nil && want.Value == nil {
		return nil, wire.Newf(wire.InvalidRequest, "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
	}
	return c.document(max, want)
}

// UnsummedDocument is Document for CompleteMultipartUpload, whose x-amz-checksum- headers are about the object and not
// about the document.
func (c *Call) UnsummedDocument(max int64) ([]byte, error) {
	md5, err := wire.ParseContentMD5(c.Header)
	if err != nil {
		return nil, err
	}
	return c.document(max, objectlayer.Expect{MD5: md5})
}

func (c *Call) document(max int64, want objectlayer.Expect) ([]byte, error) {
	if c.Body.Size() > max {
		return nil, wire.New(wire.MaxMessageLengthExceeded).WithInt("MaxMessageLengthBytes", max)
	}
	doc, err := io.ReadAll(io.LimitReader(c.Body, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(doc)) > max {
		return nil, wire.New(wire.MaxMessageLengthExceeded).WithInt("MaxMessageLengthBytes", max)
	}
	if want.MD5 != nil {
		if sum := md5.Sum(doc); !bytes.Equal(sum[:], want.MD5) { //nolint:gosec // S3's Content-MD5
			return nil, wire.New(wire.BadDigest)
		}
	}
	if want.Value == nil {
		return doc, nil
	}
	claimed, err := want.Value()
	if err != nil {
		return nil, err
	}
	h := newHash(want.Algorithm)
	if h == nil {
		return nil, wire.New(wire.NotImplemented)
	}
	h.Write(doc) // a hash never fails
	if !bytes.Equal(h.Sum(nil), claimed) {
		return nil, wire.Newf(wire.BadDigest, "The %s you specified did not match the calculated checksum.", WireAlgorithm(want.Algorithm))
	}
	return doc, nil
}

// newHash returns the hash of an algorithm, nil for one that the server does not compute.
func newHash(algorithm string) hash.Hash {
	switch algorithm {
	case "crc32":
		return crc32.NewIEEE()
	case "crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "crc64nvme":
		return crc64nvme.New()
	case "sha1":
		return sha1.New() //nolint:gosec // S3's x-amz-checksum-sha1
	case "sha256":
		return sha256.New()
	}
	return nil
}
