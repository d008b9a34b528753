//go:build clients

package clients

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/contender/contender/conformance/harness"
)

// sdk speaks to another node each time.
func (x *tools) sdk() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(x.endpoint()), Region: harness.Region, UsePathStyle: true,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported, ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
		Credentials: credentials.NewStaticCredentialsProvider(harness.AccessKey, harness.SecretKey, ""),
	})
}

// TestGoSDKTrailingChecksums sends every checksum algorithm in the forms that the SDK chooses and reads it back with
// verification on.
func TestGoSDKTrailingChecksums(t *testing.T) { onOne(t, sendTrailingChecksums) }

func TestGoSDKTrailingChecksumsOnNodes(t *testing.T) { onNodes(t, sendTrailingChecksums) }

func sendTrailingChecksums(x *tools) {
	t, ctx := x.t, context.Background()
	if _, err := x.sdk().CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("sdk")}); err != nil {
		t.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{7})
	for _, size := range []int{0, 1, 4 << 10, 100 << 10, 9 << 20} {
		body := make([]byte, size)
		_, _ = random.Read(body)
		for _, algorithm := range []types.ChecksumAlgorithm{"", types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256} {
			put, err := x.sdk().PutObject(ctx, &s3.PutObjectInput{
				Bucket: aws.String("sdk"), Key: aws.String("k"), Body: bytes.NewReader(body), ChecksumAlgorithm: algorithm,
			})
			if err != nil {
				t.Fatalf("put %d bytes with %q: %v", size, algorithm, err)
			}
			if algorithm == "" && aws.ToString(put.ChecksumCRC32) == "" {
				t.Errorf("put %d bytes: the default CRC32 is not echoed", size)
			}
			get, err := x.sdk().GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("sdk"), Key: aws.String("k"), ChecksumMode: types.ChecksumModeEnabled})
			if err != nil {
				t.Fatal(err)
			}
			back, err := io.ReadAll(get.Body)
			if err != nil {
				t.Fatalf("get %d bytes with %q: %v", size, algorithm, err)
			}
			if sha256.Sum256(back) != sha256.Sum256(body) {
				t.Fatalf("%d bytes with %q came back wrong", size, algorithm)
			}
		}
	}
}

// TestGoSDKBadChecksum claims a wrong checksum: the object must not come to be.
func TestGoSDKBadChecksum(t *testing.T) { onOne(t, claimBadChecksum) }

func TestGoSDKBadChecksumOnNodes(t *testing.T) { inFull(t); onNodes(t, claimBadChecksum) }

func claimBadChecksum(x *tools) {
	t, ctx := x.t, context.Background()
	if _, err := x.sdk().CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("sdk")}); err != nil {
		t.Fatal(err)
	}
	_, err := x.sdk().PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String("sdk"), Key: aws.String("bad"), Body: bytes.NewReader([]byte("hello")), ChecksumCRC32: aws.String("AAAAAA=="),
	})
	var api interface{ ErrorCode() string }
	if !errors.As(err, &api) || api.ErrorCode() != "BadDigest" {
		t.Fatalf("put with a wrong CRC32: %v, want BadDigest", err)
	}
	if _, err := x.sdk().HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("sdk"), Key: aws.String("bad")}); err == nil {
		t.Fatal("the object exists")
	}
}
