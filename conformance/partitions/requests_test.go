//go:build partitions

package partitions

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/contender/contender/conformance/history"
)

// Keys of a slot: the contended one between those of its crowd.
func slotPrefix(at int) string { return fmt.Sprintf("keys/%02d/", at) }

func hotKey(at, generation int) string { return fmt.Sprintf("%shot-%04d", slotPrefix(at), generation) }
func crowdKey(at int, n uint64) string { return fmt.Sprintf("%s%016x", slotPrefix(at), n) }

func etag(b []byte) string     { s := md5.Sum(b); return hex.EncodeToString(s[:]) }
func unquote(s *string) string { return strings.Trim(aws.ToString(s), `"`) }

// code returns the S3 error code of an answer.
func code(err error) string {
	var api interface{ ErrorCode() string }
	if !errors.As(err, &api) {
		return ""
	}
	return api.ErrorCode()
}

// get returns the ETag of an object, having compared its bytes.
func (l *load) get(ctx context.Context, c *s3.Client, key string) (string, error) {
	out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	if code(err) == "NoSuchKey" {
		return history.Absent, nil
	}
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	b, err := io.ReadAll(out.Body)
	if err != nil {
		return "", err
	}
	tag := unquote(out.ETag)
	l.mu.Lock()
	want, known := l.bodies[tag]
	l.mu.Unlock()
	if !known || md5.Sum(b) != want {
		l.t.Errorf("%v %s: %d bytes that are not those of %s", l.rec.Now(), key, len(b), tag)
	}
	return tag, nil
}

// multipart uploads an object in one part. What matters is when it is completed.
func (l *load) multipart(ctx context.Context, c *s3.Client, r *rand.Rand, at int, op history.Op) error {
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String(op.Key)})
	if err != nil {
		return err
	}
	body, tag := l.body(r)
	part, err := c.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: aws.String(bucket), Key: aws.String(op.Key), UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(body),
	})
	if err != nil {
		return err
	}
	if got := unquote(part.ETag); got != tag {
		l.t.Errorf("%s: a part has the ETag %s, want %s", op.Key, got, tag)
	}
	raw := md5.Sum(body)
	op.Value = etag(raw[:]) + "-1"
	l.mu.Lock()
	l.bodies[op.Value] = raw
	l.mu.Unlock()
	op.Kind, op.Call = history.Write, l.rec.Now()
	_, err = c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(bucket), Key: aws.String(op.Key), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: part.ETag, PartNumber: aws.Int32(1)}}},
	})
	return l.keep(at, op, err)
}

// listing returns the ETags of all keys below a prefix.
func listing(ctx context.Context, t *testing.T, c *s3.Client, prefix string) (map[string]string, error) {
	out, last := map[string]string{}, ""
	p := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: aws.String(bucket), Prefix: aws.String(prefix), MaxKeys: aws.Int32(listPage)})
	for p.HasMorePages() {
		page, err := p.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			k := aws.ToString(o.Key)
			if k <= last {
				t.Errorf("a listing shows %q after %q", k, last)
			}
			out[k], last = unquote(o.ETag), k
		}
	}
	return out, nil
}

// eventually does something through a node until it succeeds.
func eventually(t *testing.T, limit time.Duration, what string, do func(ctx context.Context) error) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), attemptMax)
		err := do(ctx)
		cancel()
		took := time.Since(began)
		if err == nil {
			return took
		}
		if took > limit {
			t.Errorf("%s: not after %v: %v", what, took, err)
			return took
		}
		pause(t.Context())
	}
}
