package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/contender/contender/gateway/admin"
)

type bucketVerb struct {
	Create bucketCreateVerb `cmd:"" help:"Make a bucket, with a policy of its own."`
	Set    bucketSetVerb    `cmd:"" help:"Change how the bytes of a bucket are kept that are written from now on."`
	Show   bucketShowVerb   `cmd:"" help:"Show a bucket and how its bytes are kept."`
}

type bucketCreateVerb struct {
	Name     string        `arg:"" help:"Name of the bucket."`
	Policy   string        `default:"auto" placeholder:"auto|ec:K+M|replica:N" help:"How its bytes are kept: as the cluster does (auto), as K data and M parity shards, or as N copies."`
	Short    string        `enum:"refuse,allow" default:"refuse" help:"With too few nodes (or devices, or folders) left for the parity: refuse writes, or allow them with less of it."`
	Compress string        `enum:"none,s2,zstd" default:"none" help:"How its large objects are compressed: not at all, by S2 (little CPU) or by Zstandard (smaller)."`
	Endpoint string        `default:"http://127.0.0.1:9000" help:"S3 endpoint of any node."`
	Timeout  time.Duration `default:"60s" help:"How long to wait for the answer."`
}

type bucketSetVerb struct {
	Name     string        `arg:"" help:"Name of the bucket."`
	Policy   string        `placeholder:"auto|ec:K+M|replica:N" help:"How its bytes are kept. Default: as it is."`
	Short    string        `enum:",refuse,allow" default:"" placeholder:"refuse|allow" help:"What to do with too few nodes (or devices, or folders) left for the parity. Default: as it is."`
	Compress string        `enum:",none,s2,zstd" default:"" placeholder:"none|s2|zstd" help:"How large objects that come are compressed. Default: as it is."`
	Endpoint string        `default:"http://127.0.0.1:9000" help:"S3 endpoint of any node."`
	Timeout  time.Duration `default:"60s" help:"How long to wait for the answer."`
}

type bucketShowVerb struct {
	Name     string        `arg:"" help:"Name of the bucket."`
	JSON     bool          `help:"Print the answer as JSON."`
	Endpoint string        `default:"http://127.0.0.1:9000" help:"S3 endpoint of any node."`
	Timeout  time.Duration `default:"60s" help:"How long to wait for the answer."`
}

// Run makes a bucket, as any S3 client does, with the headers that say how its bytes are kept.
func (v *bucketCreateVerb) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.Timeout)
	defer cancel()
	var body []byte
	if region := regionOf(ctx, v.Endpoint); region != "us-east-1" {
		body = fmt.Appendf(nil, `<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>%s</LocationConstraint></CreateBucketConfiguration>`, region)
	}
	_, err := rootClient(v.Endpoint).do(ctx, http.MethodPut, "/"+url.PathEscape(v.Name), body, "X-Contender-Policy", v.Policy, "X-Contender-Short", v.Short, "X-Contender-Compress", v.Compress)
	return plainly("bucket", err)
}

// Run changes a bucket and prints it.
func (v *bucketSetVerb) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.Timeout)
	defer cancel()
	if v.Policy == "" && v.Short == "" && v.Compress == "" {
		return errors.New("bucket: want --policy, --short or --compress")
	}
	q := admin.BucketRequest{Name: v.Name, Policy: v.Policy, Compress: v.Compress}
	if v.Short != "" {
		allow := v.Short == "allow"
		q.Short = &allow
	}
	var b admin.Bucket
	if err := rootClient(v.Endpoint).post(ctx, "bucket", "/-/admin/bucket/set", q, &b); err != nil {
		return err
	}
	return printBucket(os.Stdout, b)
}

// Run prints a bucket.
func (v *bucketShowVerb) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.Timeout)
	defer cancel()
	body, err := rootClient(v.Endpoint).get(ctx, "/-/admin/bucket?name="+url.QueryEscape(v.Name))
	if err != nil {
		return plainly("bucket", err)
	}
	if v.JSON {
		_, err = os.Stdout.Write(body)
		return err
	}
	var b admin.Bucket
	if err := json.Unmarshal(body, &b); err != nil {
		return fmt.Errorf("bucket: %w", err)
	}
	return printBucket(os.Stdout, b)
}

func printBucket(w io.Writer, b admin.Bucket) error {
	short := "refused"
	if b.Short {
		short = "allowed with less parity"
	}
	_, err := fmt.Fprintf(w, "bucket %s, made %s by %s, versioning %s\npolicy %s, which comes to %s now; with too few domains left for the parity writes are %s\ncompression: %s\n",
		b.Name, b.Created.Format(time.RFC3339), b.Owner, b.Versioning, b.Policy, b.Coding, short, b.Compress)
	return err
}
