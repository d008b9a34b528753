package s3bucket

import (
	"bytes"
	"context"
	"net/http"
	"strings"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// CreateBucket makes a bucket. Making one that the caller has already succeeds in us-east-1 and is
// BucketAlreadyOwnedByYou elsewhere, as on AWS.
func (s *Handlers) CreateBucket(ctx context.Context, c *call.Call) error {
	if err := refuseSettings(c); err != nil {
		return err
	}
	raw, err := c.Document(min(s.xmlBytesMax, wire.MaxCreateBucketBytes), false)
	if err != nil {
		return err
	}
	doc, err := wire.DecodeCreateBucket(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	if doc.LocationName != "" || doc.LocationType != "" || doc.BucketType != "" || doc.DataRedundancy != "" || len(doc.Tags) > 0 {
		return wire.Newf(wire.NotImplemented, "Directory buckets and tags of buckets are not implemented")
	}
	if err := checkLocation(doc.LocationConstraint, c.Region); err != nil {
		return err
	}
	kept, err := placementOf(c)
	if err != nil {
		return err
	}
	b, err := s.buckets.Create(ctx, objectlayer.Bucket{Name: c.Bucket, Owner: c.Owner(), Region: c.Region, Placement: kept})
	if objectlayer.KindOf(err) == objectlayer.KindBucketExists {
		switch {
		case b.Owner != c.Owner():
			return wire.New(wire.BucketAlreadyExists).With("BucketName", c.Bucket)
		case c.Region != RegionDefault:
			return wire.New(wire.BucketAlreadyOwnedByYou).With("BucketName", c.Bucket)
		}
		err = nil
	}
	if err != nil {
		return err
	}
	c.ResponseHeader().Set("Location", "/"+c.Bucket)
	return c.Empty(http.StatusOK)
}

// Headers of CreateBucket that are ours: how the bytes of the bucket are to be kept.
const (
	headerPolicy   = "X-Contender-Policy"
	headerShort    = "X-Contender-Short"
	headerCompress = "X-Contender-Compress"
)

// placementOf reads how the bytes of a new bucket are to be kept. What they ask for is judged when the bucket is made.
func placementOf(c *call.Call) (p objectlayer.Placement, err error) {
	p.Policy, p.Compress = c.Header.Get(headerPolicy), c.Header.Get(headerCompress)
	switch v := c.Header.Get(headerShort); v {
	case "", "refuse":
	case "allow":
		p.Short = true
	default:
		return p, wire.Newf(wire.InvalidArgument, "%s: want refuse or allow", headerShort).With("ArgumentName", headerShort).With("ArgumentValue", v)
	}
	return p, nil
}

// refuseSettings refuses headers that ask of the new bucket what it would not have.
func refuseSettings(c *call.Call) error {
	if v := c.Header.Get("X-Amz-Bucket-Object-Lock-Enabled"); v != "" && !strings.EqualFold(v, "false") {
		return wire.NotImplementedHeader("x-amz-bucket-object-lock-enabled", v)
	}
	if v := c.Header.Get("X-Amz-Object-Ownership"); v != "" && v != "BucketOwnerEnforced" {
		return wire.NotImplementedHeader("x-amz-object-ownership", v)
	}
	if v := c.Header.Get("X-Amz-Bucket-Namespace"); v != "" && v != "global" {
		return wire.NotImplementedHeader("x-amz-bucket-namespace", v)
	}
	return nil
}

// checkLocation judges a location constraint against the server's region.
func checkLocation(constraint, region string) error {
	if constraint == "EU" {
		constraint = "eu-west-1"
	}
	switch {
	case constraint == region, constraint == "" && region == RegionDefault:
		return nil
	case constraint == "":
		return wire.Newf(wire.IllegalLocationConstraintException,
			"The unspecified location constraint is incompatible for the region specific endpoint this request was sent to.")
	case !looksLikeRegion(constraint):
		return wire.New(wire.InvalidLocationConstraint).With("LocationConstraint", constraint)
	}
	return wire.Newf(wire.IllegalLocationConstraintException,
		"The %s location constraint is incompatible for the region specific endpoint this request was sent to.", constraint)
}

// looksLikeRegion holds for names such as eu-west-1 and us-gov-east-1.
func looksLikeRegion(s string) bool {
	parts := strings.Split(s, "-")
	if len(parts) < 3 || len(s) > 32 || len(parts[0]) != 2 {
		return false
	}
	for i, p := range parts {
		alphabet := "abcdefghijklmnopqrstuvwxyz"
		if i == len(parts)-1 {
			alphabet = "0123456789"
		}
		if p == "" || strings.Trim(p, alphabet) != "" {
			return false
		}
	}
	return true
}
