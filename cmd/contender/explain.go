package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/contender/contender/gateway/admin"
)

type explainVerb struct {
	Object    string        `arg:"" placeholder:"s3://BUCKET/KEY" help:"The object."`
	VersionID string        `placeholder:"ID" help:"The version. Default: the current one."`
	Endpoint  string        `default:"http://127.0.0.1:9000" help:"S3 endpoint of any node."`
	JSON      bool          `help:"Print the answer as JSON."`
	Timeout   time.Duration `default:"60s" help:"How long to wait for the answer."`
}

// Run asks an endpoint where an object lies, and prints it.
func (v *explainVerb) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.Timeout)
	defer cancel()
	bucket, key, ok := strings.Cut(strings.TrimPrefix(v.Object, "s3://"), "/")
	if !strings.HasPrefix(v.Object, "s3://") || !ok || bucket == "" || key == "" {
		return fmt.Errorf("explain: %q: want s3://BUCKET/KEY", v.Object)
	}
	q := url.Values{"bucket": {bucket}, "key": {key}}
	if v.VersionID != "" {
		q.Set("version", v.VersionID)
	}
	body, err := rootClient(v.Endpoint).get(ctx, "/-/admin/explain?"+strings.ReplaceAll(q.Encode(), "+", "%20"))
	if err != nil {
		return plainly("explain", err)
	}
	if v.JSON {
		_, err = os.Stdout.Write(body)
		return err
	}
	var e admin.Explanation
	if err := json.Unmarshal(body, &e); err != nil {
		return fmt.Errorf("explain: %w", err)
	}
	return printExplanation(os.Stdout, e)
}

func printExplanation(w io.Writer, e admin.Explanation) error {
	fmt.Fprintf(w, "s3://%s/%s, version %s", e.Bucket, e.Key, e.VersionID)
	switch {
	case e.DeleteMarker:
		fmt.Fprint(w, ", a delete marker")
	case e.Latest:
		fmt.Fprint(w, ", the current one")
	}
	fmt.Fprintf(w, "\n%s, written %s\n", sizeText(e.Size), e.Modified.Format(time.RFC3339))
	state := "whole"
	switch {
	case !e.Readable:
		state = "NOT readable now"
	case !e.Whole:
		state = "readable, but NOT whole"
	}
	fmt.Fprintf(w, "%s; survives the loss of: %d folders, %d devices, %d nodes, %d racks, %d sites more (one kind at a time)\n", state,
		e.Survives.Folder, e.Survives.Device, e.Survives.Node, e.Survives.Rack, e.Survives.Site)
	verified := "never"
	if e.LastVerified != nil {
		verified = e.LastVerified.Format(time.RFC3339)
	}
	fmt.Fprintf(w, "last verified: %s\n\n", verified)
	t := tabwriter.NewWriter(w, 2, 4, 2, ' ', 0)
	fmt.Fprintf(t, "metadata in range %d\n", e.Range.ID)
	for _, r := range e.Range.Replicas {
		role := "replica"
		if e.Range.Leader != nil && e.Range.Leader.Disk == r.Disk {
			role = "leader"
		}
		fmt.Fprintf(t, "  %s\tnode %s\t%s\tdisk %s\n", role, r.Node, r.Path, r.Disk)
	}
	if e.Form == "inline" {
		fmt.Fprintln(t, "bytes: with the metadata, on each replica")
	}
	for i, x := range e.Extents {
		part := ""
		if x.Part > 0 {
			part = fmt.Sprintf(" of part %d", x.Part)
		}
		compressed := ""
		if x.Compressed {
			compressed = " compressed"
		}
		fmt.Fprintf(t, "extent %d of %d%s: %s%s, %s in group %d\n", i+1, e.ExtentCount, part, sizeText(x.Length), compressed, x.Coding, x.Group)
		for n, s := range x.Shards {
			fmt.Fprintf(t, "  shard %d\tnode %s\t%s\tdisk %s\t%s\t%s\n", n, s.Node, s.Path, s.Disk, s.State, place(s))
		}
	}
	if more := e.ExtentCount - len(e.Extents); more > 0 {
		fmt.Fprintf(t, "and %d more\n", more)
	}
	return t.Flush()
}

// place says where the node of a shard stands, if that was said.
func place(s admin.Shard) string {
	var words []string
	if s.Site != "" {
		words = append(words, "site "+s.Site)
	}
	if s.Rack != "" {
		words = append(words, "rack "+s.Rack)
	}
	return strings.Join(words, ", ")
}
