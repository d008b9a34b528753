package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// answerBytesMax bounds what is read of an answer.
const answerBytesMax = 64 << 20

// adminClient asks a node's operator endpoints, signed as S3 requests are.
type adminClient struct{ endpoint, accessKey, secretKey string }

// rootClient is a client with the root keys from CONTENDER_ACCESS_KEY and CONTENDER_SECRET_KEY.
func rootClient(endpoint string) adminClient {
	return adminClient{endpoint: endpoint, accessKey: os.Getenv("CONTENDER_ACCESS_KEY"), secretKey: os.Getenv("CONTENDER_SECRET_KEY")}
}

// refusedError is an answer that no waiting will mend.
type refusedError struct {
	status int
	body   string
}

func (e refusedError) Error() string { return fmt.Sprintf("HTTP %d: %s", e.status, e.body) }

// get returns the body of a 200 answer.
func (c adminClient) get(ctx context.Context, path string) ([]byte, error) {
	return c.do(ctx, http.MethodGet, path, nil)
}

// post sends a request in JSON for a verb and decodes the answer.
func (c adminClient) post(ctx context.Context, verb, path string, q, answer any) error {
	content, err := json.Marshal(q)
	if err != nil {
		return err
	}
	body, err := c.do(ctx, http.MethodPost, path, content)
	if err == nil {
		err = json.Unmarshal(body, answer)
	}
	return plainly(verb, err)
}

// plainly puts what a node says of a refusal in place of its form, which is JSON, or XML where it is S3's, and the verb before it.
func plainly(verb string, err error) error {
	var refused refusedError
	var p struct{ Message string }
	if errors.As(err, &refused) &&
		(json.Unmarshal([]byte(refused.body), &p) == nil || xml.Unmarshal([]byte(refused.body), &p) == nil) && p.Message != "" {
		err = refusedError{refused.status, p.Message}
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", verb, err)
	}
	return err
}

// do makes a request, with pairs of further headers, and returns the body of a 200 answer.
func (c adminClient) do(ctx context.Context, method, path string, content []byte, headers ...string) ([]byte, error) {
	if c.accessKey == "" || c.secretKey == "" {
		return nil, refusedError{0, "CONTENDER_ACCESS_KEY and CONTENDER_SECRET_KEY must hold the root keys"}
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.endpoint, "/")+path, bytes.NewReader(content))
	if err != nil {
		return nil, refusedError{0, err.Error()}
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	sum := sha256.Sum256(content)
	hash := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", hash)
	keys := aws.Credentials{AccessKeyID: c.accessKey, SecretAccessKey: c.secretKey}
	sign := func(region string) error {
		return v4.NewSigner().SignHTTP(ctx, keys, req, hash, "s3", region, time.Now())
	}
	if err := sign(regionOf(ctx, c.endpoint)); err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerBytesMax))
	if err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusOK:
		return body, nil
	case resp.StatusCode >= 500:
		return nil, fmt.Errorf("HTTP %d: %s", resp.StatusCode, body)
	default:
		return nil, refusedError{resp.StatusCode, string(body)}
	}
}

// regionOf asks the endpoint which region it signs for; it says so in every answer, refusals among them.
func regionOf(ctx context.Context, endpoint string) string {
	const fallback = "us-east-1"
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, strings.TrimSuffix(endpoint, "/")+"/-/live", nil)
	if err != nil {
		return fallback
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fallback
	}
	resp.Body.Close()
	if r := resp.Header.Get("X-Amz-Bucket-Region"); r != "" {
		return r
	}
	return fallback
}
