package machine

import (
	"bytes"
	"cmp"
	"crypto/md5" //nolint:gosec // S3's ETag
	"fmt"
	"slices"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// completedVersionsMax is how many of a key's newest versions are looked at for the one that an upload became.
const completedVersionsMax = 100

// completeUpload makes a version of an upload's parts. No byte moves. Repeated with the same parts it answers the same.
func (a *applier) completeUpload(k *call, c *metapb.CompleteUpload) (*metapb.Result, error) {
	if len(c.GetParts()) == 0 || len(c.GetParts()) > partNumberMax {
		return invalid("an upload is completed from 1 to 10000 parts"), nil
	}
	u, err := readUpload(a.b, k.Bucket, k.key, c.Upload)
	if err != nil {
		return nil, err
	}
	if u == nil {
		return a.completed(k, c)
	}
	parts, err := readParts(a.b, k.Bucket, k.key, u.Id)
	if err != nil {
		return nil, err
	}
	chosen, r := choose(c, parts)
	if r != nil {
		return r, nil
	}
	v := &metapb.Version{
		Nonce: c.Nonce, Attributes: u.Attributes.CloneVT(), Owner: u.Owner,
		Etag: etagOfParts(chosen), EtagParts: uint32(len(chosen)), Upload: u.Id,
	}
	for _, p := range chosen {
		v.Size += p.Size
		v.Parts = append(v.Parts, &metapb.Part{
			Number: p.Number, Size: p.Size, Etag: p.Etag, Checksums: p.Checksums, Blob: p.Blob,
		})
	}
	sum := wholeChecksum(u, chosen)
	if sum != nil {
		v.Checksums = []*metapb.Checksum{sum}
	}
	if r := judgeWhole(c, v.Size, sum); r != nil {
		return r, nil
	}
	before, err := a.newest(k)
	if err != nil {
		return nil, err
	}
	if r := judgeCondition(c.Condition, current(before)); r != nil {
		return r, nil
	}
	r, err = a.added(k, v, before)
	if err != nil || r.Status != metapb.Status_OK {
		return r, err
	}
	return r, a.endUpload(k, u.Id, parts, without(parts, chosen))
}

// choose finds the parts that a client names, in its order, or says what is wrong.
func choose(c *metapb.CompleteUpload, parts []*metapb.Part) ([]*metapb.Part, *metapb.Result) {
	for i, want := range c.Parts[1:] {
		if want.GetNumber() <= c.Parts[i].GetNumber() {
			return nil, status(metapb.Status_INVALID_PART_ORDER)
		}
	}
	chosen := make([]*metapb.Part, 0, len(c.Parts))
	for _, want := range c.Parts {
		i, ok := slices.BinarySearchFunc(parts, want.GetNumber(), func(p *metapb.Part, n uint32) int {
			return cmp.Compare(p.Number, n)
		})
		if !ok || !matches(parts[i], want) {
			return nil, &metapb.Result{Status: metapb.Status_INVALID_PART, Detail: fmt.Sprint(want.GetNumber())}
		}
		chosen = append(chosen, parts[i])
	}
	for _, p := range chosen[:len(chosen)-1] {
		if p.Size < c.PartMin {
			return nil, &metapb.Result{Status: metapb.Status_ENTITY_TOO_SMALL, Detail: fmt.Sprint(p.Number)}
		}
	}
	return chosen, nil
}

// matches reports whether a part is the one that a client means: by its ETag, and by the checksums that it names.
func matches(p *metapb.Part, want *metapb.CompletedPart) bool {
	if !bytes.Equal(p.Etag, want.Etag) {
		return false
	}
	for _, sum := range want.Checksums {
		have := checksumOf(p.Checksums, sum.GetAlgorithm())
		if have == nil || !bytes.Equal(have.Value, sum.Value) {
			return false
		}
	}
	return true
}

// judgeWhole judges what a client claims of the whole.
func judgeWhole(c *metapb.CompleteUpload, size uint64, sum *metapb.Checksum) *metapb.Result {
	if c.HasSize && c.Size != size {
		return invalid(fmt.Sprintf("the parts are %d bytes long", size))
	}
	claim := c.Checksum
	switch {
	case claim == nil:
		return nil
	case sum == nil || sum.Algorithm != claim.Algorithm || (sum.Parts > 0) != (claim.Parts > 0):
		return invalid("the upload has no checksum of that kind")
	case claim.Parts != sum.Parts || !bytes.Equal(claim.Value, sum.Value):
		return status(metapb.Status_BAD_DIGEST)
	}
	return nil
}

// etagOfParts returns the MD5 of the parts' MD5s.
func etagOfParts(parts []*metapb.Part) []byte {
	h := md5.New() //nolint:gosec // S3's ETag
	for _, p := range parts {
		h.Write(p.Etag)
	}
	return h.Sum(nil)
}

// without returns the parts that are not among others. Both ascend.
func without(parts, others []*metapb.Part) (rest []*metapb.Part) {
	for _, p := range parts {
		if len(others) > 0 && others[0].Number == p.Number {
			others = others[1:]
			continue
		}
		rest = append(rest, p)
	}
	return rest
}

// completed answers for an upload that is gone: the version that it became, if the client names the same parts.
func (a *applier) completed(k *call, c *metapb.CompleteUpload) (*metapb.Result, error) {
	result, left := status(metapb.Status_NO_SUCH_UPLOAD), completedVersionsMax
	if len(c.Upload) != uploadIDLen {
		return result, nil
	}
	err := scan(a.b, keys.KeySpan(keys.Versions, k.Bucket, k.key), func(row disk.Row) error {
		v := new(metapb.Version)
		if err := decode(row.Key, row.Value, v); err != nil {
			return err
		}
		if bytes.Equal(v.Upload, c.Upload) {
			if slices.EqualFunc(v.Parts, c.Parts, func(p *metapb.Part, want *metapb.CompletedPart) bool {
				return p.Number == want.GetNumber() && matches(p, want)
			}) {
				result = &metapb.Result{Version: summary(v)}
			}
			return errStop
		}
		if left--; left == 0 {
			return errStop
		}
		return nil
	})
	return result, ignoreStop(err)
}
