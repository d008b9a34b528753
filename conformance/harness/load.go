package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// loadWorkers is how many requests Fill has in flight, loadTries how often one is sent before that fails the test: a 503 asks
// for it.
const (
	loadWorkers = 64
	loadTries   = 5
)

// Thin puts objects for a third of the CPU that the SDK's client takes, so that a load leaves it to the servers beside it: one
// signature, one request, no checksum, no second attempt. It is safe for concurrent use.
type Thin struct {
	client *http.Client
	signer *v4.Signer
}

// NewThin returns a client for so many requests at once. It must be closed.
func NewThin(workers int) *Thin {
	return &Thin{
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers, DisableCompression: true}},
		signer: v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }),
	}
}

// Close lets go of the connections.
func (c *Thin) Close() { c.client.CloseIdleConnections() }

// errUnavailable is the answer 503.
var errUnavailable = errors.New("unavailable")

// Put puts an object at an address whose path needs no escaping.
func (c *Thin) Put(ctx context.Context, to *url.URL, body []byte) error {
	const unsigned = "UNSIGNED-PAYLOAD"
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, to.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-Amz-Content-Sha256", unsigned)
	keys := aws.Credentials{AccessKeyID: AccessKey, SecretAccessKey: SecretKey}
	if err := c.signer.SignHTTP(ctx, keys, req, unsigned, "s3", Region, time.Now()); err != nil {
		return err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusServiceUnavailable:
		return fmt.Errorf("PUT %s: %w: %.200s", to.Path, errUnavailable, b)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("PUT %s: HTTP %d: %.200s", to.Path, resp.StatusCode, b)
	}
	return nil
}

// Fill puts the objects 0 to n-1 with one body, many at once. It logs how many had to be sent again, and how long the slowest
// took. Keys need no escaping in a path.
func Fill(t testing.TB, endpoint, bucket string, n int, body []byte, key func(i int) string) {
	t.Helper()
	f := &filler{thin: NewThin(loadWorkers), body: body}
	defer f.thin.Close()
	base, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	Each(t, loadWorkers, n, func(i int) error { return f.insist(t.Context(), base.JoinPath(bucket, key(i))) })
	t.Logf("%d objects of %d bytes: %d sent again after a 503, the slowest took %v", n, len(body), f.again, f.slowest.Round(time.Millisecond))
}

// filler puts objects, again where that is asked for.
type filler struct {
	thin *Thin
	body []byte

	mu      sync.Mutex
	again   int
	slowest time.Duration
}

func (f *filler) insist(ctx context.Context, to *url.URL) (err error) {
	began, tries := time.Now(), 0
	for tries < loadTries {
		tries++
		if err = f.thin.Put(ctx, to, f.body); !errors.Is(err, errUnavailable) {
			break
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.again += tries - 1
	f.slowest = max(f.slowest, time.Since(began))
	return err
}

// Empty deletes the objects 0 to n-1 by DeleteObjects, few requests at once: each is a thousand commands. Keys that were
// answered ServiceUnavailable are sent again.
func Empty(t testing.TB, c *s3.Client, bucket string, n int, key func(i int) string) {
	t.Helper()
	const (
		workers = 4
		each    = 1000 // S3's most
	)
	Each(t, workers, (n+each-1)/each, func(request int) error {
		var keys []types.ObjectIdentifier
		for i := request * each; i < min(n, (request+1)*each); i++ {
			keys = append(keys, types.ObjectIdentifier{Key: aws.String(key(i))})
		}
		for range loadTries {
			var err error
			if keys, err = remove(t.Context(), c, bucket, keys); err != nil || len(keys) == 0 {
				return err
			}
		}
		return fmt.Errorf("%d keys of a request are answered 503", len(keys))
	})
}

// remove deletes objects and returns those that were answered ServiceUnavailable.
func remove(ctx context.Context, c *s3.Client, bucket string, keys []types.ObjectIdentifier) (again []types.ObjectIdentifier, err error) {
	out, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket: aws.String(bucket), Delete: &types.Delete{Objects: keys, Quiet: aws.Bool(true)},
	})
	if err != nil {
		return nil, err
	}
	for _, e := range out.Errors {
		if aws.ToString(e.Code) != "ServiceUnavailable" {
			return nil, fmt.Errorf("%s: %s %s", aws.ToString(e.Key), aws.ToString(e.Code), aws.ToString(e.Message))
		}
		again = append(again, types.ObjectIdentifier{Key: e.Key})
	}
	return again, nil
}
