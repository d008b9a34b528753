package machine

import "github.com/contender/contender/metashards/metapb"

// put makes a version from durable bytes or from the payload.
func (a *applier) put(k *call, c *metapb.PutVersion) (*metapb.Result, error) {
	if r := judgeForm(c.GetVersion(), k.payload); r != nil {
		return r, nil
	}
	before, err := a.newest(k)
	if err != nil {
		return nil, err
	}
	if r := judgeCondition(c.Condition, current(before)); r != nil {
		return r, nil
	}
	v := c.Version.CloneVT()
	v.Parts, v.Upload = nil, nil
	if k.payload != nil {
		v.Form = &metapb.Version_Inline{Inline: k.payload}
	}
	return a.added(k, v, before)
}

// added puts a version on top of its key and answers with it.
func (a *applier) added(k *call, v, before *metapb.Version) (*metapb.Result, error) {
	ok, err := a.add(k, v, before)
	if err != nil {
		return nil, err
	}
	if !ok {
		return invalid("the key has reached the end of time"), nil
	}
	if v.GetInline() == k.payload {
		k.payload = nil // it is held now
	}
	return &metapb.Result{Version: summary(v), DeleteMarker: v.DeleteMarker}, nil
}

// judgeForm refuses a version whose bytes are nowhere, or in two places.
func judgeForm(v *metapb.Version, payload *metapb.Inline) *metapb.Result {
	blob := v.GetBlob()
	switch {
	case v == nil || v.DeleteMarker:
		return invalid("no version")
	case v.Form != nil && blob == nil:
		return invalid("a form that a caller can't give")
	case payload != nil && blob != nil:
		return invalid("a payload and a blob")
	case payload == nil && blob == nil && v.Size > 0:
		return invalid("a version without its bytes")
	case blob != nil && !wellFormed(blob):
		return invalid("a blob without its id")
	}
	return nil
}

func wellFormed(b *metapb.Blob) bool { return len(b.GetId()) == 16 }
