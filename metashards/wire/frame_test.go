package wire

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/contender/contender/disk"
	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards/metapb"
	"github.com/contender/contender/metashards/transport"
)

// TestFrames: frames of all sizes come out as they went in, however the stream is cut.
func TestFrames(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	sizes := []int{0, 1, 100, viewBytes - 200, viewBytes, viewBytes + 1, readBufferBytes, stepBytes + 5, 3*stepBytes + 1}
	type sent struct {
		key, payload []byte
		id           uint64
	}
	var stream []byte
	var want []sent
	for n := range disktest.Seeds(60) {
		s := sent{key: make([]byte, sizes[r.IntN(len(sizes))]), payload: make([]byte, sizes[r.IntN(len(sizes))]), id: uint64(n)}
		for i := range s.key {
			s.key[i] = byte(n + i)
		}
		for i := range s.payload {
			s.payload[i] = byte(n - i)
		}
		m := &metapb.ProposeRequest{Disk: 5, Range: uint64(n), Command: &metapb.Command{Key: s.key}}
		var err error
		if stream, err = appendFrame(stream, header{kind: kindPropose, id: s.id, wait: 77}, m, len(s.payload)); err != nil {
			t.Fatal(err)
		}
		stream = append(stream, s.payload...)
		want = append(want, s)
	}
	for name, from := range map[string]io.Reader{
		"whole": bytes.NewReader(stream), "halves": iotest.HalfReader(bytes.NewReader(stream)),
		"with its end": iotest.DataErrReader(bytes.NewReader(stream)), "pieces": &pieces{stream, r},
	} {
		in := newReader(from)
		for i, w := range want {
			f, err := in.next()
			if err != nil {
				t.Fatalf("%s: frame %d: %v", name, i, err)
			}
			var m metapb.ProposeRequest
			if err := m.UnmarshalVT(f.body); err != nil {
				t.Fatal(err)
			}
			if f.id != w.id || f.wait != 77 || m.Range != w.id || !bytes.Equal(m.Command.Key, w.key) || !bytes.Equal(f.payload, w.payload) {
				t.Fatalf("%s: frame %d came out otherwise", name, i)
			}
		}
		if _, err := in.next(); err != io.EOF {
			t.Errorf("%s: at the end: %v", name, err)
		}
	}
}

// pieces reads pieces of any length.
type pieces struct {
	b []byte
	r *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:1+p.r.IntN(len(b))], p.b)
	p.b = p.b[n:]
	return n, nil
}

// TestCutFrames: a stream that ends within a frame, wherever, is no clean end.
func TestCutFrames(t *testing.T) {
	whole, err := appendFrame(nil, header{kind: kindPropose, id: 1}, &metapb.ProposeRequest{Disk: 1, Command: &metapb.Command{Key: []byte("k")}}, 10)
	if err != nil {
		t.Fatal(err)
	}
	whole = append(whole, make([]byte, 10)...)
	for n := range whole {
		_, err := newReader(bytes.NewReader(whole[:n])).next()
		if want := map[bool]error{true: io.EOF, false: io.ErrUnexpectedEOF}[n == 0]; err != want {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
}

// counting counts what is asked of it.
type counting struct{ most int }

func (c *counting) Read(b []byte) (int, error) {
	c.most = max(c.most, len(b))
	return 0, io.EOF
}

// TestBadHeaders: sizes beyond the kind's, unknown kinds and stray bytes are refused before memory is spent on them; a
// size that is allowed and does not come costs little.
func TestBadHeaders(t *testing.T) {
	for name, change := range map[string]func(*header, []byte){
		"unknown kind": func(h *header, _ []byte) { h.kind = 99 },
		"kind zero":    func(h *header, _ []byte) { h.kind = 0 },
		"large body":   func(h *header, _ []byte) { h.kind, h.body = kindPing, 65 },
		"huge body":    func(h *header, _ []byte) { h.body = 1<<32 - 1 },
		"huge payload": func(h *header, _ []byte) { h.payload = 1<<32 - 1 },
		"payload":      func(h *header, _ []byte) { h.kind, h.payload = kindQuery, 1 },
	} {
		h := header{kind: kindRaft}
		b := make([]byte, headerBytes)
		change(&h, b)
		h.put(b)
		_, err := newReader(bytes.NewReader(b)).next()
		if p := (*ProtocolError)(nil); !errors.As(err, &p) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := 21; i < headerBytes; i++ {
		b := make([]byte, headerBytes)
		header{kind: kindCancel}.put(b)
		b[i] = 1
		_, err := newReader(bytes.NewReader(b)).next()
		if p := (*ProtocolError)(nil); !errors.As(err, &p) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	b := make([]byte, headerBytes)
	header{kind: kindRaft, payload: 64 * mib}.put(b)
	c := new(counting)
	if _, err := newReader(io.MultiReader(bytes.NewReader(b), c)).next(); err != io.ErrUnexpectedEOF || c.most > stepBytes {
		t.Errorf("a promise of 64 MiB: %v, %d bytes were made ready", err, c.most)
	}
}

// TestTooLarge: what fits into no frame is not written.
func TestTooLarge(t *testing.T) {
	var tooLarge *tooLargeError
	b, err := appendFrame([]byte("before"), header{kind: kindQuery}, &metapb.QueryRequest{Query: &metapb.Query{Key: make([]byte, 65*kib)}}, 0)
	if !errors.As(err, &tooLarge) || string(b) != "before" {
		t.Errorf("%q %v", b, err)
	}
	var out batch
	m := raftMessage(1, 10, 20, make([]byte, 33*mib))
	if err := out.message(m); !errors.As(err, &tooLarge) || out.size() != 0 {
		t.Errorf("%d bytes, %v", out.size(), err)
	}
	m = raftMessage(1, 10, 20, nil, make([]byte, 65*mib))
	if err := out.message(m); !errors.As(err, &tooLarge) || out.size() != 0 {
		t.Errorf("%d bytes, %v", out.size(), err)
	}
}

func raftMessage(index uint64, from, to disk.ID, data []byte, payloads ...[]byte) *transport.Message {
	return &transport.Message{Range: 7, From: from, To: to, Payloads: payloads, Raft: &raftpb.Message{
		Type: raftpb.MsgApp.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(uint64(3)), Index: new(index), Commit: new(uint64(0)),
		Entries: []*raftpb.Entry{{Type: raftpb.EntryNormal.Enum(), Index: new(index + 1), Term: new(uint64(3)), Data: data}},
	}}
}

// TestRaftMessages: a batch of messages, its pieces copied or not, comes out as it went in, in order.
func TestRaftMessages(t *testing.T) {
	for _, reference := range []int{0, 100, referenceVector, referenceSingle} {
		b := &batch{reference: reference}
		var want []*transport.Message
		for n := range 50 {
			var payloads [][]byte
			for k := range n % 4 {
				payloads = append(payloads, bytes.Repeat([]byte{byte(n)}, k*n*50))
			}
			m := raftMessage(uint64(n), 10, 20, make([]byte, n*20), payloads...)
			if n%5 == 0 {
				m.Raft = &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), Context: []byte("read")}
				m.Payloads = nil
			}
			want = append(want, m)
			if err := b.message(m); err != nil {
				t.Fatal(err)
			}
		}
		b.cut()
		size := b.size()
		stream := bytes.Join(b.list, nil)
		if size != len(stream) {
			t.Errorf("size %d of %d", size, len(stream))
		}
		in := newReader(bytes.NewReader(stream))
		var scratch metapb.ReplicaMessage
		for i, w := range want {
			f, err := in.next()
			if err != nil {
				t.Fatal(err)
			}
			m, err := decodeRaft(&f, &scratch)
			if err != nil {
				t.Fatal(err)
			}
			if m.Range != w.Range || m.From != w.From || m.To != w.To || !proto.Equal(m.Raft, w.Raft) || len(m.Payloads) != len(w.Payloads) {
				t.Fatalf("message %d: %+v, want %+v", i, m, w)
			}
			for k := range m.Payloads {
				if !bytes.Equal(m.Payloads[k], w.Payloads[k]) {
					t.Fatalf("message %d: payload %d", i, k)
				}
			}
		}
		b.reset()
		if b.size() != 0 || len(b.list) != 0 {
			t.Error("not empty after reset")
		}
	}
}

// TestBadRaftMessages: an envelope that does not fit its payload is refused.
func TestBadRaftMessages(t *testing.T) {
	for name, c := range map[string]struct {
		e       *metapb.ReplicaMessage
		payload int
	}{
		"longer":       {&metapb.ReplicaMessage{PayloadLengths: []uint64{5, 6}}, 10},
		"shorter":      {&metapb.ReplicaMessage{PayloadLengths: []uint64{5, 4}}, 10},
		"overflow":     {&metapb.ReplicaMessage{PayloadLengths: []uint64{1<<64 - 1, 11}}, 10},
		"inside":       {&metapb.ReplicaMessage{Payloads: [][]byte{{1}}}, 0},
		"unannounced":  {&metapb.ReplicaMessage{}, 3},
		"no raft":      {&metapb.ReplicaMessage{Raft: []byte{0xff}}, 0},
		"only garbage": {nil, 0},
	} {
		f := frame{body: []byte{0xff, 0xff}, payload: make([]byte, c.payload)}
		if c.e != nil {
			f.body, _ = c.e.MarshalVT()
		}
		_, err := decodeRaft(&f, new(metapb.ReplicaMessage))
		if p := (*ProtocolError)(nil); !errors.As(err, &p) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzReader: whatever comes, the reader ends with an error or the stream, and what it gives keeps to the limits.
func FuzzReader(f *testing.F) {
	b, _ := appendFrame(nil, header{kind: kindPing, id: 3}, &metapb.Beat{MapRevision: 5}, 0)
	f.Add(b)
	var out batch
	_ = out.message(raftMessage(1, 10, 20, []byte("data"), []byte("payload")))
	out.cut()
	f.Add(bytes.Join(out.list, nil))
	f.Add([]byte(strings.Repeat("\xff", 30)))
	f.Fuzz(func(t *testing.T, stream []byte) {
		in := newReader(bytes.NewReader(stream))
		var scratch metapb.ReplicaMessage
		for {
			fr, err := in.next()
			if err != nil {
				return
			}
			if uint32(len(fr.body)) != fr.header.body || uint32(len(fr.payload)) != fr.header.payload || fr.judge() != nil {
				t.Fatalf("frame %+v", fr.header)
			}
			if fr.kind == kindRaft {
				if m, err := decodeRaft(&fr, &scratch); err == nil && (m.Raft == nil || m.Bytes() < 128) {
					t.Fatalf("%+v", m)
				}
			}
		}
	})
}
