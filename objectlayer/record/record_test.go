package record_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/objectlayer"
	"github.com/contender/contender/objectlayer/record"
)

// TestEveryStatus walks all answers of the metadata space: each has a kind of its own choosing, none falls through.
func TestEveryStatus(t *testing.T) {
	mayBeInternal := map[metapb.Status]bool{metapb.Status_UNKNOWN_OUTCOME: true}
	for n, name := range metapb.Status_name {
		s := metapb.Status(n)
		err := record.StatusError("op", "b", "k", s, "detail")
		if s == metapb.Status_OK {
			if err != nil {
				t.Errorf("OK is %v", err)
			}
			continue
		}
		if kind := objectlayer.KindOf(err); err == nil || kind == objectlayer.KindInternal && !mayBeInternal[s] {
			t.Errorf("%s is %v", name, err)
		}
		if record.Refused(s) && objectlayer.KindOf(err) != objectlayer.KindUnavailable {
			t.Errorf("%s is a refusal and %v", name, err)
		}
	}
	if err := record.StatusError("op", "b", "k", 9999, ""); objectlayer.KindOf(err) != objectlayer.KindInternal || err == nil {
		t.Errorf("an unknown status is %v", err)
	}
}

// TestEveryKind walks all kinds of errors from below.
func TestEveryKind(t *testing.T) {
	internal := map[string]bool{
		"outcome unknown": true, "invalid": true, "exists": true,
	}
	check := func(name string, cause error) {
		t.Helper()
		for _, err := range []error{cause, fmt.Errorf("wrapped: %w", cause)} {
			got := record.Error("op", "b", "k", err)
			var e *objectlayer.Error
			if !errors.As(got, &e) || e.Bucket != "b" || e.Key != "k" || !errors.Is(got, cause) {
				t.Errorf("%s became %#v", name, got)
				continue
			}
			if (e.Kind == objectlayer.KindInternal) != internal[name] {
				t.Errorf("%s became %v", name, e.Kind)
			}
		}
	}
	for k := metashards.Kind(0); !strings.HasPrefix(k.String(), "kind "); k++ {
		check(k.String(), &metashards.Error{Kind: k})
	}
	for k := disk.Kind(0); !strings.HasPrefix(k.String(), "kind "); k++ {
		check(k.String(), &disk.Error{Kind: k})
	}
	check("canceled", context.Canceled)
	check("deadline", context.DeadlineExceeded)
	if record.Error("op", "b", "k", nil) != nil {
		t.Error("nil became an error")
	}
	own := &objectlayer.Error{Kind: objectlayer.KindFull}
	if err := record.Error("op", "b", "k", own); !errors.Is(err, own) || objectlayer.KindOf(err) != objectlayer.KindFull {
		t.Errorf("an error of the layer became %v", err)
	}
	if err := record.About(own, "op", "b", "k"); objectlayer.KindOf(err) != objectlayer.KindFull || own.Bucket != "" || !strings.Contains(err.Error(), `"b"/"k"`) {
		t.Errorf("%v of %v", err, own)
	}
}

func TestUndone(t *testing.T) {
	for k, want := range map[metashards.Kind]bool{
		metashards.KindUnavailable: true, metashards.KindFull: true, metashards.KindInvalid: true, metashards.KindClosed: true,
		metashards.KindIndeterminate: false, metashards.KindDamaged: false,
	} {
		if got := record.Undone(fmt.Errorf("wrapped: %w", &metashards.Error{Kind: k})); got != want {
			t.Errorf("%v: %v", k, got)
		}
	}
	if record.Undone(context.Canceled) || record.Undone(errors.New("what")) {
		t.Error("an error that nobody knows is no proof")
	}
}

func TestAttributes(t *testing.T) {
	a := objectlayer.Attributes{
		ContentType: "1", CacheControl: "2", ContentDisposition: "3", ContentEncoding: "4", ContentLanguage: "5", Expires: "6",
		WebsiteRedirect: "7", StorageClass: "8",
		User: map[string]string{"z": "1", "a": "2", "m": ""}, Tags: map[string]string{"t": "3"},
	}
	p := record.PutAttributes(a)
	if p.User[0].Key != "a" || p.User[2].Key != "z" {
		t.Errorf("not sorted: %v", p.User)
	}
	if got := record.Attributes(p); !reflect.DeepEqual(got, a) {
		t.Errorf("%+v", got)
	}
	if record.PutAttributes(objectlayer.Attributes{}) != nil || !reflect.DeepEqual(record.Attributes(nil), objectlayer.Attributes{}) {
		t.Error("no attributes are not nil")
	}
}

func TestConditions(t *testing.T) {
	if record.PutCondition(objectlayer.WriteConditions{}) != nil {
		t.Error("no condition is not nil")
	}
	zero := int64(0)
	c := record.PutCondition(objectlayer.WriteConditions{IfMatchSize: &zero})
	if !c.HasIfMatchSize || c.IfMatchSize != 0 {
		t.Errorf("%v", c)
	}
	at := time.UnixMicro(1_700_000_000_123_456).UTC()
	if got := record.Time(record.Micros(at)); !got.Equal(at) {
		t.Errorf("%v", got)
	}
}

func TestUploadIDs(t *testing.T) {
	id := []byte("0123456789abcdef")
	s := record.EncodeUploadID(id)
	if got, ok := record.DecodeUploadID(s); !ok || string(got) != string(id) {
		t.Errorf("%q became %q", s, got)
	}
	for _, bad := range []string{"", s[1:], s + "A", s + "=", s[:21] + "+", s[:21] + "/"} {
		if _, ok := record.DecodeUploadID(bad); ok {
			t.Errorf("%q is an upload id", bad)
		}
	}
}

func TestVersion(t *testing.T) {
	v := record.Version("b", "k", &metapb.Version{Time: 5, NullVersion: true}, true, false)
	if v.ID != "null" || v.Versioned {
		t.Errorf("%+v", v)
	}
	if v = record.Version("b", "k", &metapb.Version{Time: 5, NullVersion: true}, true, true); v.ID != "null" || !v.Versioned {
		t.Errorf("%+v", v)
	}
	row := &metapb.Version{Time: 5, Nonce: 7, Etag: make([]byte, 16), EtagParts: 2, DeleteMarker: true}
	if v = record.Version("b", "k", row, false, false); v.ID != metapb.VersionID(row) || !v.Versioned || v.ETag.Parts != 2 || !v.DeleteMarker {
		t.Errorf("%+v", v)
	}
	c := record.Current("b", "k", &metapb.Current{Time: 5, Nonce: 7, ChecksumAlgorithm: "crc32", ChecksumComposite: true, EtagParts: 2}, true)
	if c.ID != v.ID || c.Checksums[0].Parts != 2 || !c.Latest {
		t.Errorf("%+v", c)
	}
}
