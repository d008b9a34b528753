package peer

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/contender/contender/disk"
)

// Prefix begins the path of every request of the protocol.
const Prefix = "/v1/disks/"

const (
	// bufferBytes is the size of the pooled buffers, and the most that one of them moves at once.
	bufferBytes = 256 << 10
	// OwnerBytesMax is the longest owner of a shard that goes over the wire. A longer one is disk.KindInvalid.
	OwnerBytesMax = 128 << 10
	// pieceBytes is the most data of one frame that a client sends; each has the whole stall timeout. A server takes
	// longer ones.
	pieceBytes = 1 << 20
	// deleteMax is how many shards one request deletes.
	deleteMax = 4096
	// targetMax is the longest path or query of a request.
	targetMax = 512
	// pageBytes is how much a page of the inventory holds before it ends, pageMax what a client takes.
	pageBytes = 128 << 10
	pageMax   = 8 << 20
	// resumeBytes is from which length on a read can be resumed. Less than that lies in the buffers of a connection.
	resumeBytes = 64 << 10
)

// Header fields of the protocol.
const (
	headerAnswer = "Contender-Answer"
	headerNode   = "Contender-Node"
	headerBoot   = "Contender-Boot"
	headerShard  = "Contender-Shard"
)

// verb is what a request asks for.
type verb uint8

const (
	verbWrite verb = iota
	verbGet
	verbInfo
	verbVerify
	verbDelete
	verbList
)

// request is what stands in the first line of a request.
type request struct {
	verb   verb
	disk   disk.ID
	shard  disk.ShardID // of write, get, info and verify; of list: after
	epoch  disk.Epoch   // of write
	off, n int64        // of get
	group  disk.GroupID // of list
}

func (q *request) method() string {
	switch q.verb {
	case verbWrite:
		return http.MethodPut
	case verbVerify, verbDelete:
		return http.MethodPost
	default:
		return http.MethodGet
	}
}

// target returns path and query.
func (q *request) target() string {
	root := Prefix + q.disk.String()
	shard := hex.EncodeToString(q.shard.AppendKey(nil))
	switch q.verb {
	case verbWrite:
		return fmt.Sprintf("%s/shards/%s?epoch=%d", root, shard, q.epoch)
	case verbGet:
		return fmt.Sprintf("%s/shards/%s?n=%d&off=%d", root, shard, q.n, q.off)
	case verbInfo:
		return root + "/shards/" + shard + "/info"
	case verbVerify:
		return root + "/shards/" + shard + "/verify"
	case verbDelete:
		return root + "/delete"
	default:
		return fmt.Sprintf("%s/shards?after=%s&group=%d", root, shard, q.group)
	}
}

var errTarget = errors.New("no such request")

// parseRequest reads what method and target wrote.
func parseRequest(method, path, query string) (q request, err error) {
	rest, ok := strings.CutPrefix(path, Prefix)
	if !ok || len(path) > targetMax || len(query) > targetMax {
		return q, errTarget
	}
	parts := strings.Split(rest, "/")
	if q.disk, err = disk.ParseID(parts[0]); err != nil {
		return q, err
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return q, errors.New("query")
	}
	f := fields{values: values}
	switch {
	case len(parts) == 2 && parts[1] == "delete":
		q.verb = verbDelete
	case len(parts) == 2 && parts[1] == "shards":
		q.verb = verbList
		q.group = disk.GroupID(f.unsigned("group", 32))
		q.shard, err = parseShard(values.Get("after"))
	case len(parts) == 3 && parts[1] == "shards":
		q.shard, err = parseShard(parts[2])
		if q.verb = verbWrite; method != http.MethodPut {
			q.verb = verbGet
			q.off, q.n = f.signed("off"), f.signed("n")
		} else {
			q.epoch = disk.Epoch(f.unsigned("epoch", 64))
		}
	case len(parts) == 4 && parts[1] == "shards" && (parts[3] == "info" || parts[3] == "verify"):
		q.shard, err = parseShard(parts[2])
		if q.verb = verbInfo; parts[3] == "verify" {
			q.verb = verbVerify
		}
	default:
		return q, errTarget
	}
	if err = errors.Join(err, f.err); err == nil && (method != q.method() || q.disk == 0) {
		err = errTarget
	}
	return q, err
}

func parseShard(s string) (disk.ShardID, error) {
	if len(s) != 2*disk.ShardKeyLen {
		return disk.ShardID{}, fmt.Errorf("shard of %d digits", len(s))
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return disk.ShardID{}, errors.New("shard: not hexadecimal")
	}
	return disk.ParseShardKey(b)
}

// fields reads the numbers of a query and keeps the first error.
type fields struct {
	values url.Values
	err    error
}

func (f *fields) unsigned(name string, bits int) uint64 {
	n, err := strconv.ParseUint(f.values.Get(name), 10, bits)
	if err != nil && f.err == nil {
		f.err = errors.New("query: " + name)
	}
	return n
}

func (f *fields) signed(name string) int64 {
	n, err := strconv.ParseInt(f.values.Get(name), 10, 64)
	if err != nil && f.err == nil {
		f.err = errors.New("query: " + name)
	}
	return n
}

// The kinds of frame in the body of a write.
const (
	frameData   = 1
	frameCommit = 2
	frameAlive  = 3
)

// frameHead is how many bytes stand before the data of a frame.
const frameHead = 5

func putFrameHead(b *[frameHead]byte, kind byte, n int) {
	b[0] = kind
	binary.BigEndian.PutUint32(b[1:], uint32(n))
}

func parseFrameHead(b *[frameHead]byte) (kind byte, n int64) {
	return b[0], int64(binary.BigEndian.Uint32(b[1:]))
}

// scope says what an answer speaks of.
type scope string

const (
	aboutWork    scope = ""        // what was asked for
	aboutDisk    scope = "disk"    // the disk as such, which was not asked
	aboutRequest scope = "request" // the request, which was not understood
)

const answerOK = "ok"

// textMax is how much of a text of an error goes over the wire.
const textMax = 512

// formatAnswer writes how a request ended.
func formatAnswer(err error, about scope) string {
	if err == nil {
		return answerOK
	}
	v := url.Values{}
	var e *disk.Error
	if errors.As(err, &e) {
		v.Set("op", clip(e.Op))
		v.Set("what", clip(e.What))
		if err = e.Err; err != nil {
			v.Set("err", clip(err.Error()))
		}
		v.Set("kind", strconv.Itoa(int(e.Kind)))
	} else {
		v.Set("err", clip(err.Error()))
		v.Set("kind", strconv.Itoa(int(disk.KindIO)))
	}
	if about != aboutWork {
		v.Set("about", string(about))
	}
	return v.Encode()
}

func clip(s string) string { return s[:min(len(s), textMax)] }

// parseAnswer reads what formatAnswer wrote. known is false if it makes no sense. from is put into the error.
func parseAnswer(s, from string) (answer error, known bool) {
	if s == answerOK {
		return nil, true
	}
	v, err := url.ParseQuery(s)
	if err != nil || v.Get("kind") == "" {
		return nil, false
	}
	e := &disk.Error{Op: v.Get("op"), What: v.Get("what"), Err: &remoteError{from: from, text: v.Get("err")}}
	n, err := strconv.ParseUint(v.Get("kind"), 10, 8)
	if err != nil || n > uint64(disk.KindBusy) {
		return disk.Errorf(e.Op, disk.KindIO, e.What, &remoteError{from: from, text: "an error of unknown kind: " + v.Get("err")}), true
	}
	e.Kind = disk.Kind(n)
	switch about := scope(v.Get("about")); {
	case about == aboutDisk && e.Kind == disk.KindNotFound:
		// It tells nothing of the shard that was asked for, and must not pass for its absence.
		return disk.Errorf(e.Op, disk.KindFenced, e.What, e), true
	case about == aboutRequest && e.Kind == disk.KindInvalid:
		return disk.Errorf(e.Op, disk.KindIO, e.What, e), true
	}
	return e, true
}

// remoteError is the cause of an error of another node's disk, in words.
type remoteError struct{ from, text string }

func (e *remoteError) Error() string {
	if e.text == "" {
		return "from " + e.from
	}
	return e.text + " (from " + e.from + ")"
}

// appendInfo appends the encoding of what is kept of a shard: key, epoch, length, owner.
func appendInfo(b []byte, i disk.ShardInfo) []byte {
	b = i.ID.AppendKey(b)
	b = binary.AppendUvarint(b, uint64(i.Epoch))
	b = binary.AppendUvarint(b, uint64(i.Length))
	b = binary.AppendUvarint(b, uint64(len(i.Owner)))
	return append(b, i.Owner...)
}

var errInfo = errors.New("malformed shard info")

// parseInfo reads what appendInfo wrote and returns the rest. The owner is a copy.
func parseInfo(b []byte) (i disk.ShardInfo, rest []byte, err error) {
	if len(b) < disk.ShardKeyLen {
		return i, nil, errInfo
	}
	if i.ID, err = disk.ParseShardKey(b[:disk.ShardKeyLen]); err != nil {
		return i, nil, err
	}
	b = b[disk.ShardKeyLen:]
	var numbers [3]uint64
	for at := range numbers {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return i, nil, errInfo
		}
		numbers[at], b = v, b[n:]
	}
	if numbers[1] > 1<<63-1 || numbers[2] > uint64(len(b)) {
		return i, nil, errInfo
	}
	i.Epoch, i.Length = disk.Epoch(numbers[0]), int64(numbers[1])
	if n := numbers[2]; n > 0 {
		i.Owner, b = append([]byte(nil), b[:n]...), b[n:]
	}
	return i, b, nil
}

// fingerprint tells shards of one id apart that are not the same.
func fingerprint(i disk.ShardInfo) string {
	return fmt.Sprintf("%d-%d-%08x", i.Epoch, i.Length, crc32.Checksum(i.Owner, crc32.MakeTable(crc32.Castagnoli)))
}
