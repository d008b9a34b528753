package object

import (
	"fmt"

	"github.com/contender/contender/objectlayer"
)

// Window returns which bytes of a version a read asks for: all, a range, or a part by number. For a part it fills the
// version's PartNumber, PartOffset and PartSize in. An object that was not uploaded in parts is its own part 1. The
// error is *objectlayer.Error of KindInvalidRange, KindInvalidPartNumber or KindInvalidRequest (range and part both).
func Window(v *objectlayer.Version, r *objectlayer.Range, part int) (off, n int64, err error) {
	fail := func(kind objectlayer.Kind, detail string) (int64, int64, error) {
		return 0, 0, &objectlayer.Error{
			Op: "get", Kind: kind, Bucket: v.Bucket, Key: v.Key, Detail: detail, Size: v.Size,
		}
	}
	switch {
	case part != 0 && r != nil:
		return fail(objectlayer.KindInvalidRequest, "cannot specify both Range header and partNumber query parameter")
	case part != 0:
		if !findPart(v, part) {
			return fail(objectlayer.KindInvalidPartNumber, fmt.Sprintf("part %d", part))
		}
		return v.PartOffset, v.PartSize, nil
	case r == nil:
		return 0, v.Size, nil
	case r.First < 0: // the last so many bytes
		n = min(-r.First, v.Size)
		if v.Size == 0 {
			return fail(objectlayer.KindInvalidRange, "the object is empty")
		}
		return v.Size - n, n, nil
	case r.First >= v.Size:
		return fail(objectlayer.KindInvalidRange, fmt.Sprintf("first byte %d of %d", r.First, v.Size))
	case r.Last < 0 || r.Last >= v.Size:
		return r.First, v.Size - r.First, nil
	case r.Last < r.First:
		return fail(objectlayer.KindInvalidRange, fmt.Sprintf("%d-%d", r.First, r.Last))
	}
	return r.First, r.Last - r.First + 1, nil
}

// findPart sets the version's part fields to those of part number; false if there is none. S3 numbers the parts of a
// completed upload anew for reading only where they have gaps; here a part keeps the number it was uploaded with.
func findPart(v *objectlayer.Version, number int) bool {
	if len(v.Parts) == 0 {
		if number != 1 {
			return false
		}
		v.PartNumber, v.PartOffset, v.PartSize = 1, 0, v.Size
		return true
	}
	off := int64(0)
	for i := range v.Parts {
		if v.Parts[i].Number == number {
			v.PartNumber, v.PartOffset, v.PartSize = number, off, v.Parts[i].Size
			return true
		}
		off += v.Parts[i].Size
	}
	return false
}
