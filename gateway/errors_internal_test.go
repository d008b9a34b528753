package gateway

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/contender/contender/gateway/route"
	"github.com/contender/contender/gateway/wire"
	"github.com/contender/contender/objectlayer"
)

// Every kind of error of the object layer has an S3 error of its own, and only what nobody foresaw is internal.
func TestEveryKindHasACode(t *testing.T) {
	for k := objectlayer.Kind(0); int(k) < objectlayer.KindCount; k++ {
		e := wireError(fmt.Errorf("wrapped: %w", &objectlayer.Error{Kind: k, Bucket: "b", Key: "k", Err: errors.New("secret")}))
		if codes[k] == "" || e.Code == "" || e.Status == 0 {
			t.Errorf("%s: no code", k)
		}
		internal := k == objectlayer.KindInternal || k == objectlayer.KindDamaged
		if (e.Code == wire.InternalError) != internal {
			t.Errorf("%s: answered with %s", k, e.Code)
		}
		if e.Status < 300 {
			t.Errorf("%s: status %d", k, e.Status)
		}
		for _, f := range e.Extra {
			if f.Value == "secret" {
				t.Errorf("%s: the cause is shown", k)
			}
		}
	}
}

func TestWireErrorsWin(t *testing.T) {
	inner := wire.New(wire.XAmzContentSHA256Mismatch)
	for _, err := range []error{
		inner,
		&objectlayer.Error{Kind: objectlayer.KindIncompleteBody, Err: inner},
		fmt.Errorf("read: %w", inner),
	} {
		if e := wireError(err); e.Code != wire.XAmzContentSHA256Mismatch {
			t.Errorf("%v: %s", err, e.Code)
		}
	}
	if e := wireError(io.ErrUnexpectedEOF); e.Code != wire.IncompleteBody {
		t.Errorf("an early end is %s", e.Code)
	}
	if e := wireError(errors.New("boom")); e.Code != wire.InternalError {
		t.Errorf("anything else is %s", e.Code)
	}
}

// What the issue lists is in the table; all else is not.
func TestOperationTable(t *testing.T) {
	ops := operations(Options{})
	for _, op := range []route.Op{
		route.ListBuckets, route.CreateBucket, route.HeadBucket, route.DeleteBucket, route.GetBucketLocation,
		route.PutObject, route.GetObject, route.HeadObject, route.DeleteObject, route.DeleteObjects, route.CopyObject,
		route.CreateMultipartUpload, route.UploadPart, route.UploadPartCopy, route.CompleteMultipartUpload,
		route.AbortMultipartUpload, route.ListObjects, route.ListObjectsV2, route.ListMultipartUploads, route.ListParts,
	} {
		if ops[op] == nil {
			t.Errorf("%s is missing", op)
		}
		delete(ops, op)
	}
	if len(ops) != 0 {
		t.Errorf("not in the issue: %v", ops)
	}
}
