package machine

import (
	"bytes"
	"fmt"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// findShardsMost bounds the shards of one query.
const findShardsMost = 1000

// findShards judges shards by the rows of the keys that their blobs were written for. What is found is as of one moment, and so is the
// write floor: a blob below it to which no row refers then will never be referred to, since what names it first is refused,
// and what moves a reference finds none.
func (x *reading) findShards() (*metapb.Answer, error) {
	asked := x.GetFindShards().GetShards()
	if len(asked) > findShardsMost {
		return unanswered(metapb.Status_INVALID_REQUEST, fmt.Sprintf("%d shards, at most %d", len(asked), findShardsMost)), nil
	}
	state := new(metapb.RangeState)
	if _, err := get(x.r, keys.StateRow(x.descriptor.Id), state); err != nil {
		return nil, err
	}
	a := &metapb.Answer{Verdicts: make([]metapb.Verdict, len(asked))}
	for i := 0; i < len(asked); {
		n := i + 1
		for n < len(asked) && asked[n].Bucket == asked[i].Bucket && bytes.Equal(asked[n].Key, asked[i].Key) {
			n++
		}
		if err := x.findOfKey(asked[i:n], a.Verdicts[i:n], state.Floor); err != nil {
			return nil, err
		}
		i = n
	}
	return a, nil
}

// findOfKey judges shards that were written for one key.
func (x *reading) findOfKey(asked []*metapb.ShardReference, verdicts []metapb.Verdict, floor uint64) error {
	bucket, key := asked[0].Bucket, asked[0].Key
	if bucket == 0 || !keys.Contains(x.descriptor.Start, x.descriptor.End, bucket, key) {
		return nil
	}
	s := search{reading: x, asked: asked, verdicts: verdicts, left: map[string][]int{}}
	for i, r := range asked {
		verdicts[i] = metapb.Verdict_YOUNG
		if len(r.Blob) == len(disk.BlobID{}) { // else nothing is known of it
			s.left[string(r.Blob)] = append(s.left[string(r.Blob)], i)
		}
	}
	if err := s.run(bucket, key); err != nil {
		return err
	}
	for _, list := range s.left {
		for _, i := range list {
			if disk.BlobID(asked[i].Blob).StartMillis() < floor {
				verdicts[i] = metapb.Verdict_ORPHAN
			}
		}
	}
	return nil
}

// search looks for what refers to some shards of one key.
type search struct {
	*reading
	asked    []*metapb.ShardReference
	verdicts []metapb.Verdict
	left     map[string][]int // those that nothing was found of yet, by blob
}

// run looks at the parts' own rows first, then at all versions, then at the outbox.
func (s *search) run(bucket uint64, key []byte) error {
	for _, r := range s.asked {
		if len(r.Upload) == 0 {
			continue
		}
		p := new(metapb.Part)
		if _, err := get(s.r, keys.PartRow(bucket, key, r.Upload, r.Part), p); err != nil {
			return err
		}
		s.take(p.Blob)
	}
	err := s.scan(keys.KeySpan(keys.Versions, bucket, key), func(row disk.Row) error {
		v := new(metapb.Version)
		if err := decode(row.Key, row.Value, v); err != nil {
			return err
		}
		s.take(v.GetBlob())
		for _, p := range v.Parts {
			s.take(p.Blob)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.scan(keys.KeySpan(keys.Outbox, bucket, key), func(row disk.Row) error {
		o := new(metapb.OutboxRow)
		if err := decode(row.Key, row.Value, o); err != nil {
			return err
		}
		for _, b := range o.GetDeleteBlobs().GetBlobs() {
			s.take(b)
		}
		return nil
	})
}

// take notes which shards a row's blob consists of. One of an extent that was written in vain belongs to no blob.
func (s *search) take(b *metapb.Blob) {
	id := string(b.GetId())
	list, ok := s.left[id]
	if !ok {
		return
	}
	delete(s.left, id)
	for _, i := range list {
		if consistsOf(b, s.asked[i]) {
			s.verdicts[i] = metapb.Verdict_REFERRED
		} else {
			s.left[id] = append(s.left[id], i)
		}
	}
}

func consistsOf(b *metapb.Blob, r *metapb.ShardReference) bool {
	for _, e := range b.Extents {
		if e.Number == r.Extent && e.Group == r.Group {
			return bytes.IndexByte(e.Slots, byte(r.Slot)) >= 0
		}
	}
	return false
}

// scan passes rows on, as long as there is anything left to be found.
func (s *search) scan(span disk.Span, fn func(disk.Row) error) error {
	if len(s.left) == 0 {
		return nil
	}
	return ignoreStop(scan(s.r, span, func(row disk.Row) error {
		if err := fn(row); err != nil {
			return err
		}
		if len(s.left) == 0 {
			return errStop
		}
		return nil
	}))
}
