package history

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Kind says what an operation on a key does.
type Kind int

// The kinds of operations. A LIST is a Read of each key that it could have shown.
const (
	Read          Kind = iota
	Write              // PUT, or a completed multipart upload
	WriteIfAbsent      // If-None-Match: *
	WriteIfMatch       // If-Match
	Delete
)

// Outcome says what the client was told.
type Outcome int

// The outcomes.
const (
	Done    Outcome = iota
	Refused         // 412: the condition does not hold
	Missing         // 404 to a conditional write: there is no object
	Unknown         // no answer, or an error of the server: it may be carried out, now, later, or never
)

// Absent is the value of a key without an object. Other values are names that no two writes share.
const Absent = ""

// narrowMax is how long is spent on making a bad history shorter.
const narrowMax = 10 * time.Second

// never is when an operation of unknown outcome returns.
const never = time.Duration(math.MaxInt64)

// Op is an operation as a client saw it. Times are since some beginning.
type Op struct {
	Client       int
	Key          string
	Kind         Kind
	Value        string // what is written, or was read
	Match        string // what the key must hold
	Outcome      Outcome
	Call, Return time.Duration
}

// Record is what clients did and saw, in the order of one clock. It is safe for concurrent use.
type Record struct {
	began time.Time

	mu   sync.Mutex
	keys map[string][]Op
}

// NewRecord returns an empty record of keys that hold nothing.
func NewRecord() *Record { return &Record{began: time.Now(), keys: map[string][]Op{}} }

// Now returns the time since the beginning.
func (r *Record) Now() time.Duration { return time.Since(r.began) }

// Note keeps an operation that has returned just now, or whose client gives up. It returns how many operations on the key
// there are, and how many of them are writes of unknown outcome.
func (r *Record) Note(op Op) (all, open int) {
	op.Return = r.Now()
	if op.Outcome == Unknown {
		op.Return = never
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if op.Outcome != Unknown || op.Kind != Read {
		r.keys[op.Key] = append(r.keys[op.Key], op)
	}
	for _, o := range r.keys[op.Key] {
		if o.Outcome == Unknown {
			open++
		}
	}
	return len(r.keys[op.Key]), open
}

// Keys returns all keys that something was done to, sorted.
func (r *Record) Keys() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.keys))
}

// Count returns how many operations there are, and of how many the outcome is unknown.
func (r *Record) Count() (all, open int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ops := range r.keys {
		all += len(ops)
		for _, o := range ops {
			if o.Outcome == Unknown {
				open++
			}
		}
	}
	return all, open
}

// Judge returns an error for each key whose history is not linearizable, or is not shown to be within a time.
func (r *Record) Judge(timeout time.Duration) (bad []error) {
	for _, key := range r.Keys() {
		r.mu.Lock()
		ops := slices.Clone(r.keys[key])
		r.mu.Unlock()
		if err := judge(ops, timeout); err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", key, err))
		}
	}
	return bad
}

// judge looks for an order of the operations on one key.
func judge(ops []Op, timeout time.Duration) error {
	switch porcupine.CheckOperationsTimeout(model(), operations(ops), timeout) {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("no order of %d operations found in %v, and none ruled out", len(ops), timeout)
	}
	return fmt.Errorf("no order explains%s", describe(narrow(ops, min(timeout, narrowMax))))
}

// narrow drops reads that are not needed to see that no order explains a history, one by one from the end, as far as it gets
// within a time.
func narrow(ops []Op, timeout time.Duration) []Op {
	deadline := time.Now().Add(timeout)
	slices.SortFunc(ops, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	for i := len(ops) - 1; i >= 0 && time.Now().Before(deadline); i-- {
		fewer := slices.Delete(slices.Clone(ops), i, i+1)
		if ops[i].Kind == Read && porcupine.CheckOperationsTimeout(model(), operations(fewer), timeout/10) == porcupine.Illegal {
			ops = fewer
		}
	}
	return ops
}

// operations are what Porcupine is given.
func operations(ops []Op) []porcupine.Operation {
	list := make([]porcupine.Operation, len(ops))
	for i, o := range ops {
		list[i] = porcupine.Operation{ClientId: o.Client, Input: o, Call: int64(o.Call), Return: int64(o.Return)}
	}
	return list
}

// model is a register: its state is the value that the key holds.
func model() porcupine.Model {
	return porcupine.Model{
		Init:              func() any { return Absent },
		Step:              func(state, input, _ any) (bool, any) { return step(state.(string), input.(Op)) },
		DescribeOperation: func(input, _ any) string { return input.(Op).String() },
	}
}

// step says whether an operation on a key that holds a value may have come out as it did, and what the key holds then.
func step(now string, o Op) (bool, string) {
	switch o.Kind {
	case Read:
		return now == o.Value, now
	case Write:
		return true, o.Value
	case Delete:
		return true, Absent
	}
	holds := now == Absent
	if o.Kind == WriteIfMatch {
		holds = now == o.Match
	}
	switch o.Outcome {
	case Done:
		return holds, o.Value
	case Refused:
		return !holds && now != Absent, now
	case Missing:
		return o.Kind == WriteIfMatch && now == Absent, now
	}
	if holds {
		return true, o.Value
	}
	return true, now
}

// String says what was done and what came of it.
func (o Op) String() string {
	kind := [...]string{"read", "write", "write if absent", "write if " + brief(o.Match), "delete"}[o.Kind]
	s := fmt.Sprintf("client %d: %s %s: %s", o.Client, kind, brief(o.Value), [...]string{"done", "refused", "missing", "unknown"}[o.Outcome])
	if o.Return == never {
		return fmt.Sprintf("[%v, ...] %s", o.Call, s)
	}
	return fmt.Sprintf("[%v, %v] %s", o.Call, o.Return, s)
}

func brief(value string) string {
	if value == Absent {
		return "nothing"
	}
	return value[:min(len(value), 8)]
}

func describe(ops []Op) string {
	var b strings.Builder
	for _, o := range ops {
		b.WriteString("\n  " + o.String())
	}
	return b.String()
}
