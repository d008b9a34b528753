package bench

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Target is one endpoint under load.
type Target struct {
	Name, URL, Region    string
	AccessKey, SecretKey string
	Pids                 []int // processes of the server, for its CPU time; may be empty
}

const unsignedPayload = "UNSIGNED-PAYLOAD"

// client is a thin S3 client: one signature, one request, no retries. It is safe for concurrent use.
type client struct {
	t      Target
	http   *http.Client
	signer *v4.Signer
}

func newClient(t Target, concurrency int) *client {
	tr := &http.Transport{MaxIdleConns: concurrency * 2, MaxIdleConnsPerHost: concurrency * 2, DisableCompression: true, WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10}
	return &client{t: t, http: &http.Client{Transport: tr}, signer: v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// do sends one request and returns the answer's header and body; a status other than 2xx is an error.
func (c *client) do(ctx context.Context, method, path string, query url.Values, body []byte) (http.Header, []byte, error) {
	resp, err := c.send(ctx, method, path, query, body)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, nil, fmt.Errorf("%s %s: HTTP %d: %.200s", method, path, resp.StatusCode, out)
	}
	return resp.Header, out, nil
}

// drain sends one GET and throws its body away, returning how many bytes came.
func (c *client) drain(ctx context.Context, path string) (int64, error) {
	resp, err := c.send(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("GET %s: HTTP %d", path, resp.StatusCode)
	}
	return n, err
}

func (c *client) send(ctx context.Context, method, path string, query url.Values, body []byte) (*http.Response, error) {
	u := strings.TrimSuffix(c.t.URL, "/") + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body == nil {
		req.Body = nil
	}
	req.ContentLength = int64(len(body))
	req.Header.Set("X-Amz-Content-Sha256", unsignedPayload)
	keys := aws.Credentials{AccessKeyID: c.t.AccessKey, SecretAccessKey: c.t.SecretKey}
	if err := c.signer.SignHTTP(ctx, keys, req, unsignedPayload, "s3", c.t.Region, time.Now()); err != nil {
		return nil, err
	}
	return c.http.Do(req)
}

func (c *client) createUpload(ctx context.Context, path string) (string, error) {
	_, out, err := c.do(ctx, http.MethodPost, path, url.Values{"uploads": {""}}, nil)
	if err != nil {
		return "", err
	}
	var r struct{ UploadId string }
	if err := xml.Unmarshal(out, &r); err != nil {
		return "", err
	}
	return r.UploadId, nil
}
