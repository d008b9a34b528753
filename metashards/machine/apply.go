package machine

import (
	"encoding/binary"
	"fmt"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/metashards/keys"
	"github.com/contender/contender/metashards/metapb"
)

// Apply applies the next entry: it writes what its commands change, and the applied position, into b and returns one
// result per command of the proposal, in order. A command that makes no sense gets a status. An error means that b must
// not be committed and that this replica stops: a row is damaged, the entry is not the next one, or it is of a format
// that this program does not know.
func (m *Machine) Apply(b disk.Batch, e Entry) ([]*metapb.Result, error) {
	p := e.Proposal
	if e.Range != m.rangeID {
		return nil, fmt.Errorf("entry of range %d for range %d", e.Range, m.rangeID)
	}
	if err := knownFormat(p.GetFormat()); err != nil {
		return nil, fmt.Errorf("range %d: proposal in entry %d: %w", m.rangeID, e.Index, err)
	}
	s, err := m.advance(e.Term, e.Index)
	if err != nil {
		return nil, err
	}
	s.Time = max(s.Time, p.GetTime())
	a := &applier{m: m, b: b, e: e, state: s, deleteDelay: p.GetDeleteDelay()}
	if a.deleteDelay == 0 {
		a.deleteDelay = DeleteDelayDefault
	}
	results := make([]*metapb.Result, 0, len(p.GetCommands()))
	for i, c := range p.GetCommands() {
		r, err := a.command(c, false)
		if err != nil {
			return nil, fmt.Errorf("range %d: command %d of entry %d: %w", m.rangeID, i, e.Index, err)
		}
		results = append(results, r)
	}
	if err := a.finish(); err != nil {
		return nil, fmt.Errorf("range %d: entry %d: %w", m.rangeID, e.Index, err)
	}
	return results, nil
}

// applier applies one entry.
type applier struct {
	m           *Machine
	b           disk.Batch
	e           Entry
	state       *metapb.RangeState
	deleteDelay uint64
	payloads    int // payloads counted so far
	commands    int // commands applied so far
	buckets     []*bucketRows
}

// finish writes what was gathered over the entry.
func (a *applier) finish() error {
	for n := a.payloads; n < len(a.e.Proposal.GetPayloadLengths()); n++ {
		if err := a.b.DropPayloads(a.payload(n)); err != nil {
			return err
		}
	}
	for _, u := range a.buckets {
		if err := u.write(a.b, a.m.rangeID); err != nil {
			return err
		}
		if u.dirty {
			a.m.noteHalved(u.bucket, u.usage.Halved != 0)
		}
	}
	if err := a.sweep(); err != nil {
		return err
	}
	return a.m.setState(a.b, a.state)
}

func (a *applier) payload(n int) disk.PayloadID {
	return disk.PayloadID{Range: a.e.Range, Term: a.e.Term, Index: a.e.Index, N: uint32(n)}
}

// call is one command on its way through the applier.
type call struct {
	*metapb.Command
	key     []byte         // its position's key; for system records made from the name
	payload *metapb.Inline // what rode with it; nil once a version holds it
	bucket  *bucketRows    // nil for system commands
	changed bool           // it changed a row
	dedupe  *metapb.Dedupe // what is remembered at its key; nil: nothing
}

// command judges and carries out one command.
func (a *applier) command(c *metapb.Command, nested bool) (*metapb.Result, error) {
	if err := knownFormat(c.GetFormat()); err != nil {
		return nil, err
	}
	if batch := c.GetBatch(); batch != nil {
		return a.batch(c, batch, nested)
	}
	a.commands++ // the sweep of dedupe rows keeps step with them
	k := &call{Command: c, key: c.GetKey()}
	if c.GetPayloadLength() > 0 {
		k.payload = a.inline(c)
		a.payloads++
	}
	r, err := a.judge(k)
	if err != nil {
		return nil, err
	}
	if k.payload != nil {
		if err := a.b.DropPayloads(payloadID(k.payload)); err != nil {
			return nil, err
		}
	}
	if r.Time == 0 {
		r.Time = a.state.Time
	}
	return r, nil
}

func (a *applier) inline(c *metapb.Command) *metapb.Inline {
	return &metapb.Inline{
		Range: a.e.Range, Term: a.e.Term, Index: a.e.Index, N: uint32(a.payloads), Length: c.PayloadLength,
	}
}

// batch carries out each command of a batch by itself.
func (a *applier) batch(c *metapb.Command, batch *metapb.Batch, nested bool) (*metapb.Result, error) {
	if nested || c.GetPayloadLength() > 0 {
		return invalid("a batch within a batch, or one with a payload of its own"), a.skipPayloads(c)
	}
	out := &metapb.Result{Time: a.state.Time}
	for _, c := range batch.GetCommands() {
		r, err := a.command(c, true)
		if err != nil {
			return nil, err
		}
		out.Results = append(out.Results, r)
	}
	return out, nil
}

// skipPayloads drops what rode with a command that is not looked at, and with the commands in it.
func (a *applier) skipPayloads(c *metapb.Command) error {
	if c.GetPayloadLength() > 0 {
		if err := a.b.DropPayloads(a.payload(a.payloads)); err != nil {
			return err
		}
		a.payloads++
	}
	for _, c := range c.GetBatch().GetCommands() {
		if err := a.skipPayloads(c); err != nil {
			return err
		}
	}
	return nil
}

// judge takes a command through the rules that all commands share and then carries it out.
func (a *applier) judge(k *call) (*metapb.Result, error) {
	if r := a.shape(k); r != nil {
		return r, nil
	}
	d := a.m.descriptor
	if !keys.Contains(d.Start, d.End, k.Bucket, k.key) {
		return &metapb.Result{Status: metapb.Status_WRONG_RANGE}, nil
	}
	if !remembers(k.Command) {
		return a.judgeAnew(k)
	}
	r, err := a.recall(k)
	if r != nil || err != nil {
		return r, err
	}
	if a.forgotten(k) {
		return &metapb.Result{Status: metapb.Status_UNKNOWN_OUTCOME}, nil
	}
	if r, err = a.judgeAnew(k); err != nil {
		return nil, err
	}
	return r, a.remember(k, r)
}

// judgeAnew judges a command that is not known to have been judged before by fence and floor, and carries it out.
func (a *applier) judgeAnew(k *call) (*metapb.Result, error) {
	if k.Bucket != 0 {
		u, err := a.bucketRows(k.Bucket)
		if err != nil {
			return nil, err
		}
		k.bucket = u
		if isWrite(k.Command) {
			if r := judgeFence(u.fence, k.Generation, true); r != nil {
				return r, nil
			}
		}
	}
	if !mutantFloor && firstNamed(k.Command) < a.state.Floor {
		return &metapb.Result{Status: metapb.Status_BELOW_FLOOR}, nil
	}
	return a.carryOut(k)
}

// shape refuses commands that make no sense wherever they come to, and finds the key of system commands.
func (a *applier) shape(k *call) *metapb.Result {
	if k.payload != nil {
		lengths := a.e.Proposal.GetPayloadLengths()
		if n := int(k.payload.N); n >= len(lengths) || lengths[n] != k.payload.Length {
			return invalid("the payload is not the one announced")
		}
		if k.GetPut() == nil {
			return invalid("a payload that nothing asks for")
		}
	}
	name, isSystem := metapb.SystemKey(k.Command)
	switch {
	case isSystem && k.Bucket != 0:
		return invalid("a system record in a bucket")
	case isSystem:
		k.key = name
	case isWrite(k.Command) && (k.Bucket == 0 || len(k.key) == 0):
		return invalid("no bucket or no key")
	}
	return nil
}

// isWrite reports whether a command changes objects or uploads of a bucket: those carry the bucket's generation.
func isWrite(c *metapb.Command) bool {
	switch c.GetOp().(type) {
	case *metapb.Command_Put, *metapb.Command_Delete, *metapb.Command_CreateUpload, *metapb.Command_PutPart,
		*metapb.Command_Complete, *metapb.Command_Abort:
		return true
	}
	return false
}

// Alone reports whether a command must be the only one of its entry: it replaces the range's descriptor, or is about the
// rows as they are at that entry.
func Alone(c *metapb.Command) bool {
	switch c.GetOp().(type) {
	case *metapb.Command_ChangeReplicas, *metapb.Command_Split, *metapb.Command_Compare:
		return true
	}
	return false
}

// alone reports whether the entry holds this command and no other.
func (a *applier) alone(k *call) bool {
	list := a.e.Proposal.GetCommands()
	return len(list) == 1 && list[0] == k.Command
}

// neverBelow is what firstNamed says of commands that name nothing first.
const neverBelow = ^uint64(0)

// firstNamed returns when the oldest thing that a command names first was begun (Unix milliseconds): as the command says
// and as the blob's id says, whichever is less.
func firstNamed(c *metapb.Command) uint64 {
	var id []byte
	switch op := c.GetOp().(type) {
	case *metapb.Command_Put:
		if id = op.Put.GetVersion().GetBlob().GetId(); id == nil {
			return neverBelow
		}
	case *metapb.Command_PutPart:
		if id = op.PutPart.GetPart().GetBlob().GetId(); id == nil {
			return neverBelow
		}
	case *metapb.Command_CreateUpload:
		id = op.CreateUpload.GetUpload().GetId()
	case *metapb.Command_Complete: // names the rows of its parts, which are there or not
		if id = op.Complete.GetUpload(); !mutantFloorMoved || len(id) != len(disk.BlobID{}) {
			return neverBelow
		}
		return disk.BlobID(id).StartMillis()
	default:
		return neverBelow
	}
	if len(id) != len(disk.BlobID{}) {
		return c.GetBegun()
	}
	return min(c.GetBegun(), disk.BlobID(id).StartMillis())
}

// carryOut does what only this kind of command does.
func (a *applier) carryOut(k *call) (*metapb.Result, error) {
	switch op := k.Op.(type) {
	case *metapb.Command_Put:
		return a.put(k, op.Put)
	case *metapb.Command_Delete:
		return a.deleteVersion(k, op.Delete)
	case *metapb.Command_CreateUpload:
		return a.createUpload(k, op.CreateUpload)
	case *metapb.Command_PutPart:
		return a.putPart(k, op.PutPart)
	case *metapb.Command_Complete:
		return a.completeUpload(k, op.Complete)
	case *metapb.Command_Abort:
		return a.abortUpload(k, op.Abort)
	case *metapb.Command_OutboxDone:
		return a.outboxDone(k, op.OutboxDone)
	case *metapb.Command_RaiseFloor:
		// Never above range time, whatever the clock of who asks: what begins now must not be refused for ever.
		a.state.Floor = max(a.state.Floor, min(op.RaiseFloor.GetFloor(), a.state.Time/1000))
		return &metapb.Result{}, nil
	case *metapb.Command_Fence:
		return a.fenceBucket(k, op.Fence)
	case *metapb.Command_CreateBucket:
		return a.createBucket(k, op.CreateBucket)
	case *metapb.Command_UpdateBucket:
		return a.updateBucket(k, op.UpdateBucket)
	case *metapb.Command_RemoveBucket:
		return a.removeBucket(k, op.RemoveBucket)
	case *metapb.Command_SettleBucket:
		return a.settleBucket(k, op.SettleBucket)
	case *metapb.Command_PutSystem:
		return a.putSystem(k, op.PutSystem)
	case *metapb.Command_ChangeReplicas:
		return a.changeReplicas(k, op.ChangeReplicas)
	case *metapb.Command_Split:
		return a.splitRange(k, op.Split)
	case *metapb.Command_Compare:
		return &metapb.Result{}, nil
	case *metapb.Command_CorrectUsage:
		return a.correctUsage(k, op.CorrectUsage)
	case *metapb.Command_HoldBlob:
		return a.holdBlob(k, op.HoldBlob)
	}
	return invalid("no command that this program knows"), nil
}

func invalid(detail string) *metapb.Result {
	return &metapb.Result{Status: metapb.Status_INVALID_REQUEST, Detail: detail}
}

func status(s metapb.Status) *metapb.Result { return &metapb.Result{Status: s} }

// counter reads a row that holds a number; 0 if there is none.
func counter(r disk.Reader, row []byte) (uint64, error) {
	v, ok, err := r.Get(row)
	if err != nil || !ok {
		return 0, err
	}
	if len(v) != 8 {
		return 0, fmt.Errorf("damaged row %x: %d bytes", row, len(v))
	}
	return binary.BigEndian.Uint64(v), nil
}
