package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/contender/contender/gateway/admin"
)

type rangeVerb struct {
	Ls       rangeLsVerb       `cmd:"" help:"List the ranges of the metadata and where their replicas lie."`
	Split    rangeSplitVerb    `cmd:"" help:"Split a range in two."`
	Presplit rangePresplitVerb `cmd:"" help:"Split ranges at many keys of a bucket, so that it can be filled from many sides at once. Ranges split by themselves, too."`
	Move     rangeMoveVerb     `cmd:"" help:"Move a replica of a range from one disk to another. The cluster may move others, or the same again, to stay balanced."`
}

type rangeLsVerb struct {
	Endpoint string        `default:"http://127.0.0.1:9000" help:"S3 endpoint of any node."`
	Bucket   string        `placeholder:"NAME" help:"Only ranges that hold keys of this bucket."`
	JSON     bool          `help:"Print the answer as JSON."`
	Timeout  time.Duration `default:"60s" help:"How long to wait for the answer."`
}

type rangeSplitVerb struct {
	ID       uint64        `arg:"" optional:"" help:"The range to split in the middle of what it keeps."`
	At       string        `placeholder:"s3://BUCKET/KEY" help:"Split the range that holds this key, before it."`
	Endpoint string        `default:"http://127.0.0.1:9000" help:"S3 endpoint of any node."`
	Timeout  time.Duration `default:"60s" help:"How long to wait for the answer."`
}

type rangePresplitVerb struct {
	Bucket   string        `arg:"" placeholder:"s3://BUCKET" help:"The bucket."`
	Keys     string        `arg:"" default:"-" help:"File of keys, one in a line; - is standard input."`
	Endpoint string        `default:"http://127.0.0.1:9000" help:"S3 endpoint of any node."`
	Timeout  time.Duration `default:"10m" help:"How long to wait for all of it."`
}

type rangeMoveVerb struct {
	ID       uint64        `arg:"" help:"The range."`
	From     string        `required:"" placeholder:"DISK" help:"Id of the disk that has the replica."`
	To       string        `required:"" placeholder:"DISK" help:"Id of the disk that shall have it."`
	Wait     bool          `help:"Wait until it has moved."`
	Endpoint string        `default:"http://127.0.0.1:9000" help:"S3 endpoint of any node."`
	Timeout  time.Duration `default:"10m" help:"How long to wait."`
}

// rangePause is the time between two looks while waiting.
const rangePause = 250 * time.Millisecond

// Run prints the ranges.
func (v *rangeLsVerb) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.Timeout)
	defer cancel()
	body, list, err := listRanges(ctx, rootClient(v.Endpoint), v.Bucket)
	if err != nil {
		return err
	}
	if v.JSON {
		_, err = os.Stdout.Write(body)
		return err
	}
	return printRanges(os.Stdout, list.Ranges)
}

func listRanges(ctx context.Context, c adminClient, bucket string) (body []byte, list admin.RangeList, err error) {
	path := "/-/admin/ranges"
	if bucket != "" {
		path += "?bucket=" + url.QueryEscape(bucket)
	}
	body, err = c.get(ctx, path)
	if err == nil {
		err = json.Unmarshal(body, &list)
	}
	return body, list, plainly("range", err)
}

// Run splits a range and prints both parts.
func (v *rangeSplitVerb) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.Timeout)
	defer cancel()
	q, err := v.request()
	if err != nil {
		return err
	}
	var a admin.SplitAnswer
	if err := rootClient(v.Endpoint).post(ctx, "range", "/-/admin/ranges/split", q, &a); err != nil {
		return err
	}
	return printRanges(os.Stdout, []admin.Range{a.Left, a.Right})
}

func (v *rangeSplitVerb) request() (q admin.SplitRequest, err error) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(v.At, "s3://"), "/")
	switch {
	case (v.ID == 0) == (v.At == ""):
		return q, errors.New("range: want the id of a range, or --at s3://BUCKET/KEY")
	case v.At != "" && (bucket == "" || !strings.HasPrefix(v.At, "s3://")):
		return q, fmt.Errorf("range: --at %q: want s3://BUCKET/KEY", v.At)
	}
	return admin.SplitRequest{Range: v.ID, Bucket: bucket, Key: key}, nil
}

// Run splits at all keys, some at a time, and prints how often.
func (v *rangePresplitVerb) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.Timeout)
	defer cancel()
	bucket := strings.TrimSuffix(strings.TrimPrefix(v.Bucket, "s3://"), "/")
	if bucket == "" || strings.Contains(bucket, "/") {
		return fmt.Errorf("range: %q: want s3://BUCKET", v.Bucket)
	}
	content, err := readKeys(v.Keys)
	if err != nil {
		return fmt.Errorf("range: %w", err)
	}
	var sum admin.PresplitAnswer
	for some := range slices.Chunk(slices.Collect(keyLines(content)), admin.PresplitKeysMax) {
		var a admin.PresplitAnswer
		if err := rootClient(v.Endpoint).post(ctx, "range", "/-/admin/ranges/presplit", admin.PresplitRequest{Bucket: bucket, Keys: some}, &a); err != nil {
			return fmt.Errorf("%w (%d ranges were split before)", err, sum.Split)
		}
		sum.Split, sum.Refused = sum.Split+a.Split, sum.Refused+a.Refused
	}
	_, err = fmt.Printf("%d ranges split, %d keys left: a range begins there already, or exchanges its replicas\n", sum.Split, sum.Refused)
	return err
}

func readKeys(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(file)
}

// keyLines returns the lines that are not empty.
func keyLines(content []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range bytes.Lines(content) {
			if key := strings.TrimSuffix(string(line), "\n"); key != "" && !yield(key) {
				return
			}
		}
	}
}

// Run orders a move, and waits until it is carried out if that is asked for.
func (v *rangeMoveVerb) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.Timeout)
	defer cancel()
	c := rootClient(v.Endpoint)
	if err := c.post(ctx, "range", "/-/admin/ranges/move", admin.MoveRequest{Range: v.ID, From: v.From, To: v.To}, &struct{}{}); err != nil {
		return err
	}
	if !v.Wait {
		return nil
	}
	return v.await(ctx, c)
}

// await looks at the range until the order has gone from it, and tells whether the replica has moved.
func (v *rangeMoveVerb) await(ctx context.Context, c adminClient) error {
	for {
		_, list, err := listRanges(ctx, c, "")
		var refused refusedError
		if errors.As(err, &refused) {
			return err
		}
		if err == nil {
			i := slices.IndexFunc(list.Ranges, func(r admin.Range) bool { return r.ID == v.ID })
			if i < 0 {
				return fmt.Errorf("range: there is no range %d any more", v.ID)
			}
			if r := list.Ranges[i]; r.Move == nil || r.Move.From != v.From || r.Move.To != v.To {
				return v.outcome(&r)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("range: range %d is still moving after the time given", v.ID)
		case <-time.After(rangePause):
		}
	}
}

func (v *rangeMoveVerb) outcome(r *admin.Range) error {
	on := func(disk string) bool {
		return slices.ContainsFunc(r.Replicas, func(x admin.Replica) bool { return x.Disk == disk && !x.Learner })
	}
	if on(v.To) && !on(v.From) {
		return nil
	}
	return fmt.Errorf("range: the move of range %d was given up: disk %s went away, or another order came", v.ID, v.To)
}

// printRanges prints a line for each range, and one for each replica.
func printRanges(w io.Writer, ranges []admin.Range) error {
	t := tabwriter.NewWriter(w, 2, 4, 2, ' ', 0)
	for i := range ranges {
		r := &ranges[i]
		note := ""
		if r.Move != nil {
			note = fmt.Sprintf("moving from %s to %s", r.Move.From, r.Move.To)
		}
		fmt.Fprintf(t, "range %d\tgeneration %d\tfrom %s\tto %s\t%s\n", r.ID, r.Generation, positionText(r.Start, "the beginning"), positionText(r.End, "the end"), note)
		for _, x := range r.Replicas {
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t\n", x.Disk, x.Node, x.Path, roleText(r, &x))
		}
	}
	return t.Flush()
}

func roleText(r *admin.Range, x *admin.Replica) string {
	var words []string
	if r.Leader != nil && r.Leader.Disk == x.Disk {
		words = append(words, "leader")
	}
	for word, is := range map[string]bool{"learner": x.Learner, "incoming": x.Incoming, "outgoing": x.Outgoing} {
		if is {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

// positionText prints a position as --at takes it, where its bucket is known. Keys are quoted where they would blur the table.
func positionText(p *admin.Position, none string) string {
	if p == nil {
		return none
	}
	key := p.Key
	if len(p.KeyBytes) > 0 {
		key = string(p.KeyBytes)
	}
	if q := strconv.Quote(key); q != `"`+key+`"` || strings.ContainsAny(key, " ") {
		key = q
	}
	switch {
	case p.Bucket != "":
		return "s3://" + p.Bucket + "/" + key
	case p.BucketID == 0:
		return "system " + key
	}
	return fmt.Sprintf("bucket %d/%s", p.BucketID, key)
}
