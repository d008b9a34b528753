package simtest

import (
	"fmt"
	"time"

	"github.com/anishathalye/porcupine"
)

type kind int

const (
	opPut kind = iota
	opPutAbsent
	opDelete
	opGet
	opList
)

var kindNames = [...]string{"put", "put if absent", "delete", "get", "list"}

type outcome int

const (
	outcomeUnknown outcome = iota // it may have taken effect, or will, or never
	outcomeDone
	outcomeRefused // its condition did not hold
)

// operation is one line of the history.
type operation struct {
	client    int
	kind      kind
	key       string
	value     uint64 // written or read; 0: absent
	listed    map[string]uint64
	outcome   outcome
	call, ret time.Duration
}

// history is what clients did and saw.
type history struct{ ops []*operation }

func (h *history) add(o *operation) { h.ops = append(h.ops, o) }

// seen is an operation on one key, as the model judges it: its input. There is no output but the operation's own.
type seen struct {
	kind    kind
	value   uint64
	outcome outcome
}

// model is a register per key: absent is 0.
func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return uint64(0) },
		Step: func(state, input, _ any) (bool, any) {
			now, in := state.(uint64), input.(seen)
			switch in.kind {
			case opGet, opList:
				return in.outcome == outcomeUnknown || in.value == now, now
			case opDelete:
				return true, uint64(0)
			case opPut:
				return true, in.value
			}
			switch in.outcome {
			case outcomeRefused:
				return now != 0, now
			case outcomeDone:
				return now == 0, in.value
			}
			if now == 0 {
				return true, in.value
			}
			return true, now
		},
		DescribeOperation: func(input, _ any) string {
			in := input.(seen)
			return fmt.Sprintf("%s %x %d", kindNames[in.kind], in.value, in.outcome)
		},
	}
}

// check says whether the history is linearizable, key by key.
func (h *history) check(keys int) error {
	for k := range keys {
		key := fmt.Sprintf("k%d", k)
		var ops []porcupine.Operation
		for _, o := range h.ops {
			in := seen{o.kind, o.value, o.outcome}
			switch {
			case o.kind == opList && o.outcome == outcomeDone:
				in.value = o.listed[key]
			case o.key != key || o.outcome == outcomeUnknown && o.kind == opGet:
				continue
			}
			ops = append(ops, porcupine.Operation{ClientId: o.client, Input: in, Call: int64(o.call), Return: int64(o.ret)})
		}
		if res := porcupine.CheckOperationsTimeout(model(), ops, 10*time.Second); res != porcupine.Ok {
			return fmt.Errorf("the history of %s is %s: %s", key, res, describe(ops))
		}
	}
	return nil
}

func describe(ops []porcupine.Operation) (s string) {
	for _, o := range ops {
		s += fmt.Sprintf("\n  client %d %s [%v, %v]", o.ClientId, model().DescribeOperation(o.Input, nil),
			time.Duration(o.Call), time.Duration(o.Return))
	}
	return s
}
