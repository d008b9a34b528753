package machine_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/minio/crc64nvme"

	"github.com/contender/contender/metashards/metapb"
)

// begin begins an upload and puts parts of some sizes.
func (r *rig) begin(key string, sizes ...int) (id []byte, parts []*metapb.Command) {
	c := r.createUpload(key)
	r.do(ok, c)
	id = c.GetCreateUpload().Upload.Id
	for n, size := range sizes {
		p := r.putPart(key, id, uint32(n+1), size)
		r.do(ok, p)
		parts = append(parts, p)
	}
	return id, parts
}

func TestCompleteMakesAVersionOfItsParts(t *testing.T) {
	r := newRig(t)
	replaced := r.put("k", 7)
	r.do(ok, replaced)
	id, parts := r.begin("k", 10, 11, 12)
	c := r.complete("k", id, parts[0], parts[2])
	got := r.do(ok, c)
	sum := md5.Sum(append(bytes.Clone(parts[0].GetPutPart().Part.Etag), parts[2].GetPutPart().Part.Etag...))
	v := r.ask(ok, r.get("k", "")).Version
	if !bytes.Equal(v.Etag, sum[:]) || v.EtagParts != 2 || v.Size != 22 || len(v.Parts) != 2 || v.Time != got.Version.Time {
		t.Fatalf("%v", v)
	}
	rows := read(t, r.disk)
	if len(rows.uploads) != 0 || len(rows.parts) != 0 {
		t.Fatalf("%v", rows)
	}
	for _, b := range []*metapb.Blob{replaced.GetPut().Version.GetBlob(), parts[1].GetPutPart().Part.Blob} {
		if rows.outbox[string(b.Id)] != 1 {
			t.Errorf("blob %x is not to be deleted", b.Id)
		}
	}
	if len(rows.outbox) != 2 {
		t.Errorf("%d blobs are to be deleted", len(rows.outbox))
	}
}

func TestCompleteAgain(t *testing.T) {
	r := newRig(t)
	id, parts := r.begin("k", 10, 11)
	first := r.do(ok, r.complete("k", id, parts...))
	if again := r.do(ok, r.complete("k", id, parts...)); again.Version.Time != first.Version.Time {
		t.Fatalf("%v after %v", again, first)
	}
	r.do(metapb.Status_NO_SUCH_UPLOAD, r.complete("k", id, parts[0]))
	r.do(ok, r.put("k", 1))
	r.do(metapb.Status_NO_SUCH_UPLOAD, r.complete("k", id, parts...))
}

func TestCompleteRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*metapb.CompleteUpload)
		want   metapb.Status
	}{
		{"descending", func(c *metapb.CompleteUpload) { c.Parts[0], c.Parts[1] = c.Parts[1], c.Parts[0] }, metapb.Status_INVALID_PART_ORDER},
		{"twice", func(c *metapb.CompleteUpload) { c.Parts[1] = c.Parts[0] }, metapb.Status_INVALID_PART_ORDER},
		{"unknown part", func(c *metapb.CompleteUpload) { c.Parts[1].Number = 9 }, metapb.Status_INVALID_PART},
		{"wrong ETag", func(c *metapb.CompleteUpload) { c.Parts[1].Etag = []byte("other") }, metapb.Status_INVALID_PART},
		{"wrong checksum", func(c *metapb.CompleteUpload) {
			c.Parts[0].Checksums = []*metapb.Checksum{{Algorithm: "sha256", Value: []byte("x")}}
		}, metapb.Status_INVALID_PART},
		{"too small", func(c *metapb.CompleteUpload) { c.PartMin = 11 }, metapb.Status_ENTITY_TOO_SMALL},
		{"no parts", func(c *metapb.CompleteUpload) { c.Parts = nil }, badRequest},
		{"wrong size", func(c *metapb.CompleteUpload) { c.HasSize, c.Size = true, 20 }, badRequest},
		{"a checksum that it has not", func(c *metapb.CompleteUpload) { c.Checksum = &metapb.Checksum{Algorithm: "sha1"} }, badRequest},
		{"no such upload", func(c *metapb.CompleteUpload) { c.Upload = make([]byte, 16) }, metapb.Status_NO_SUCH_UPLOAD},
		{"an upload id of a wrong form", func(c *metapb.CompleteUpload) { c.Upload = nil }, metapb.Status_NO_SUCH_UPLOAD},
		{"condition", func(c *metapb.CompleteUpload) { c.Condition = &metapb.Condition{IfMatch: "*"} }, absent},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			id, parts := r.begin("k", 10, 5)
			bad := r.complete("k", id, parts...)
			c.change(bad.GetComplete())
			r.do(c.want, bad)
			good := r.complete("k", id, parts...)
			good.GetComplete().PartMin, good.GetComplete().HasSize, good.GetComplete().Size = 10, true, 15
			r.do(ok, good)
		})
	}
}

func TestCompleteComputesChecksums(t *testing.T) {
	data := [][]byte{bytes.Repeat([]byte("a"), 1000), []byte("bcd"), {}}
	whole := bytes.Join(data, nil)
	crc := func(b []byte) []byte { return binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)) }
	crcC := func(b []byte) []byte {
		return binary.BigEndian.AppendUint32(nil, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	}
	nvme := func(b []byte) []byte { return binary.BigEndian.AppendUint64(nil, crc64nvme.Checksum(b)) }
	sha := func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }
	composite := func(sum func([]byte) []byte) []byte {
		var all []byte
		for _, d := range data {
			all = append(all, sum(d)...)
		}
		return sum(all)
	}
	for _, c := range []struct {
		name, algorithm, asked string
		composite              bool
		sum                    func([]byte) []byte
		want                   []byte
	}{
		{"crc32", "crc32", "crc32", false, crc, crc(whole)},
		{"crc32 composite", "crc32", "crc32", true, crc, composite(crc)},
		{"crc32c", "crc32c", "crc32c", false, crcC, crcC(whole)},
		{"crc64nvme", "crc64nvme", "crc64nvme", false, nvme, nvme(whole)},
		{"nothing asked", "crc64nvme", "", false, nvme, nvme(whole)},
		{"sha256", "sha256", "sha256", true, sha, composite(sha)},
		{"sha256 can't be combined", "sha256", "sha256", false, sha, nil},
		{"missing", "crc32", "crc32c", false, crc, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			create := r.createUpload("k")
			u := create.GetCreateUpload().Upload
			u.ChecksumAlgorithm, u.ChecksumComposite = c.asked, c.composite
			r.do(ok, create)
			var parts []*metapb.Command
			for n, d := range data {
				p := r.putPart("k", u.Id, uint32(n+1), len(d))
				p.GetPutPart().Part.Checksums = []*metapb.Checksum{{Algorithm: c.algorithm, Value: c.sum(d)}}
				r.do(ok, p)
				parts = append(parts, p)
			}
			complete := r.complete("k", u.Id, parts...)
			claim := &metapb.Checksum{Algorithm: c.algorithm, Value: bytes.Clone(c.want)}
			if c.composite {
				claim.Parts = 3
			}
			if c.want != nil {
				complete.GetComplete().Checksum = claim
				claim.Value[0] ^= 1
				r.do(metapb.Status_BAD_DIGEST, complete)
				claim.Value[0] ^= 1
				complete.RequestId += " again"
			}
			r.do(ok, complete)
			sums := r.ask(ok, r.get("k", "")).Version.Checksums
			if c.want == nil {
				if len(sums) != 0 {
					t.Fatalf("%v", sums)
				}
				return
			}
			if len(sums) != 1 || !bytes.Equal(sums[0].Value, c.want) || sums[0].Algorithm != c.algorithm || (sums[0].Parts == 3) != c.composite {
				t.Fatalf("%v, want %x", sums, c.want)
			}
		})
	}
}

func TestPartReplacesAndRetries(t *testing.T) {
	r := newRig(t)
	id, parts := r.begin("k", 10)
	again := r.putPart("k", id, 1, 20)
	r.do(ok, again)
	if got := r.do(ok, retry(again)); got.Part.Size != 20 || got.Part.Time != again.Time {
		t.Fatalf("%v", got)
	}
	r.do(unknown, retry(parts[0])) // its blob is in the outbox
	rows := read(t, r.disk)
	if len(rows.outbox) != 1 || rows.outbox[string(parts[0].GetPutPart().Part.Blob.Id)] != 1 || rows.usage.UploadBytes != 20 {
		t.Fatalf("%v", rows)
	}
	r.do(metapb.Status_NO_SUCH_UPLOAD, r.putPart("other", id, 1, 1))
	r.do(badRequest, r.putPart("k", id, 0, 1))
	r.do(badRequest, r.putPart("k", id, 10_001, 1))
	r.do(ok, r.putPart("k", id, 10_000, 1))
}

func TestAbort(t *testing.T) {
	r := newRig(t)
	id, parts := r.begin("k", 10, 11)
	c := r.command("k")
	c.Op = &metapb.Command_Abort{Abort: &metapb.AbortUpload{Upload: id}}
	r.do(ok, c)
	r.do(ok, retry(c))
	again := c.CloneVT()
	again.RequestId = "another"
	r.do(metapb.Status_NO_SUCH_UPLOAD, again)
	r.do(metapb.Status_NO_SUCH_UPLOAD, r.complete("k", id, parts...))
	rows := read(t, r.disk)
	if len(rows.outbox) != 2 || !rows.usage.Same(&metapb.Usage{}) || len(rows.parts) != 0 {
		t.Fatalf("%v", rows)
	}
}

func TestListPartsAndGetUpload(t *testing.T) {
	r := newRig(t)
	id, _ := r.begin("k", 10, 11, 12)
	ask := func(want metapb.Status, upload []byte, after, limit uint32) *metapb.Answer {
		q := r.query("k")
		q.Op = &metapb.Query_ListParts{ListParts: &metapb.ListParts{Upload: upload, After: after, Limit: limit}}
		return r.ask(want, q)
	}
	for _, c := range []struct {
		after, limit uint32
		first, n     int
		truncated    bool
	}{{0, 2, 1, 2, true}, {0, 3, 1, 3, false}, {1, 9, 2, 2, false}, {3, 9, 0, 0, false}, {0, 0, 0, 0, false}, {^uint32(0), 1, 0, 0, false}} {
		a := ask(ok, id, c.after, c.limit)
		if len(a.Parts) != c.n || a.Truncated != c.truncated || c.n > 0 && a.Parts[0].Number != uint32(c.first) || a.Upload == nil {
			t.Errorf("%+v: %v", c, a)
		}
	}
	ask(metapb.Status_NO_SUCH_UPLOAD, make([]byte, 16), 0, 1)
	q := r.query("k")
	q.Op = &metapb.Query_GetUpload{GetUpload: &metapb.GetUpload{Upload: id}}
	if a := r.ask(ok, q); !bytes.Equal(a.Upload.Id, id) {
		t.Fatalf("%v", a)
	}
}
