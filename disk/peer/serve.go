package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/contender/contender/disk"
)

// write serves a PUT: it creates the shard, answers, and takes frames until the commit.
func (c *call) write(store disk.Store) {
	w, err := store.Create(c.ctx, c.q.shard, c.q.epoch)
	if err != nil {
		c.end(aboutWork, err)
		return
	}
	defer w.Abort()
	c.open()
	if err = c.rc.Flush(); err == nil {
		err = c.frames(w)
	}
	c.end(aboutWork, err)
}

func (c *call) broken(op string, err error) error {
	return disk.Errorf(op, disk.KindIO, c.q.shard.String(), fmt.Errorf("the body broke off: %w", err))
}

// frames takes the body of a write. It returns nil after a commit.
func (c *call) frames(w disk.Writer) error {
	var head [frameHead]byte
	for {
		if err := c.read(head[:]); err != nil {
			return c.broken("append", err)
		}
		kind, n := parseFrameHead(&head)
		switch {
		case kind == frameAlive && n == 0:
		case kind == frameData:
			for n > 0 {
				piece := min(n, bufferBytes)
				if err := c.piece(w, piece); err != nil {
					return err
				}
				n -= piece
			}
		case kind == frameCommit && n <= OwnerBytesMax:
			return c.commit(w, n)
		default:
			return disk.Errorf("append", disk.KindInvalid, c.q.shard.String(), fmt.Errorf("frame of kind %d and %d bytes", kind, n))
		}
	}
}

// piece brings n bytes from the connection to the disk.
func (c *call) piece(w disk.Writer, n int64) error {
	buf, err := c.h.buffer(c.ctx, "append", c.q.shard.String())
	if err != nil {
		return err
	}
	defer c.h.put(buf)
	if err := c.read(buf[:n]); err != nil {
		return c.broken("append", err)
	}
	ctx, cancel := context.WithCancelCause(c.ctx)
	defer cancel(nil)
	defer c.h.o.AfterFunc(c.h.o.Limits.Idle, func() { cancel(errHangs) })()
	return w.Append(ctx, buf[:n])
}

// errHangs ends an Append of a disk that hangs. Nobody else would: the connection is not read meanwhile.
var errHangs = errors.New("the disk takes too long")

// commit reads the owner and the end of the body, and commits.
func (c *call) commit(w disk.Writer, n int64) error {
	owner := make([]byte, n)
	if err := c.read(owner); err != nil {
		return c.broken("commit", err)
	}
	var more [1]byte
	if k, err := c.body.Read(more[:]); k != 0 || err != io.EOF {
		return c.broken("commit", errors.New("no end after the commit"))
	}
	// From here on the server watches the connection for its end, which must not be the deadline.
	if err := c.rc.SetReadDeadline(time.Time{}); err != nil {
		return c.broken("commit", err)
	}
	return w.Commit(c.ctx, owner)
}

// get serves the bytes of a shard.
func (c *call) get(store disk.Store) {
	if c.q.n > resumeBytes || c.resumed {
		i, err := store.Info(c.ctx, c.q.shard)
		if err != nil {
			if e := (*disk.Error)(nil); errors.As(err, &e) {
				err = disk.Errorf("get", e.Kind, e.What, e.Err)
			}
			c.end(aboutWork, err)
			return
		}
		c.w.Header().Set(headerShard, fingerprint(i))
	}
	r, err := store.Get(c.ctx, c.q.shard, c.q.off, c.q.n)
	if err != nil {
		c.end(aboutWork, err)
		return
	}
	defer func() {
		if err := r.Close(); err != nil {
			c.h.o.Log.Debug("closing a shard", "shard", c.q.shard.String(), "err", err)
		}
	}()
	if c.q.n == 0 {
		c.reply(aboutWork, nil, nil)
		return
	}
	buf, err := c.h.buffer(c.ctx, "get", c.q.shard.String())
	if err != nil {
		c.end(aboutDisk, err)
		return
	}
	defer c.h.put(buf)
	c.open()
	c.end(aboutWork, c.send(r, buf[:]))
}

// send brings the bytes of a shard to the connection. It returns the disk's error.
func (c *call) send(r io.Reader, buf []byte) error {
	for left := c.q.n; left > 0; {
		n, err := io.ReadFull(r, buf[:min(left, int64(len(buf)))])
		if n > 0 {
			if err := c.writing(); err != nil {
				return c.broken("get", err)
			}
			if _, err := c.w.Write(buf[:n]); err != nil {
				return c.broken("get", err) // nobody will see it
			}
		}
		switch left -= int64(n); {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return disk.Errorf("get", disk.KindCorrupt, c.q.shard.String(), errors.New("the disk gave less than was asked for"))
		case err != nil:
			return err
		}
	}
	return nil
}

func (c *call) info(store disk.Store) {
	i, err := store.Info(c.ctx, c.q.shard)
	if err != nil {
		c.end(aboutWork, err)
		return
	}
	c.reply(aboutWork, nil, appendInfo(nil, i))
}

func (c *call) delete(store disk.Store) {
	buf, err := c.h.buffer(c.ctx, "delete", "")
	if err != nil {
		c.end(aboutDisk, err)
		return
	}
	defer c.h.put(buf)
	n, err := c.readUpTo(buf[:deleteMax*disk.ShardKeyLen+1])
	if err != nil || n > deleteMax*disk.ShardKeyLen || n%disk.ShardKeyLen != 0 {
		c.end(aboutRequest, disk.Errorf("delete", disk.KindInvalid, "", errors.New("malformed list of shards")))
		return
	}
	ids := make([]disk.ShardID, 0, n/disk.ShardKeyLen)
	for at := 0; at < n; at += disk.ShardKeyLen {
		id, err := disk.ParseShardKey(buf[at : at+disk.ShardKeyLen])
		if err != nil {
			c.end(aboutRequest, disk.Errorf("delete", disk.KindInvalid, "", err))
			return
		}
		ids = append(ids, id)
	}
	if err := c.rc.SetReadDeadline(time.Time{}); err != nil {
		c.end(aboutRequest, disk.Errorf("delete", disk.KindIO, "", err))
		return
	}
	c.end(aboutWork, store.Delete(c.ctx, ids...))
}

var errPageFull = errors.New("the page is full")

// list answers with a page: a byte that says whether there is more, and infos.
func (c *call) list(inventory disk.Inventory) {
	buf, err := c.h.buffer(c.ctx, "list", "")
	if err != nil {
		c.end(aboutDisk, err)
		return
	}
	defer c.h.put(buf)
	page := append(buf[:0], 0)
	err = inventory.List(c.ctx, c.q.group, c.q.shard, func(i disk.ShardInfo) error {
		page = appendInfo(page, i) // one that is too long for the buffer is met by growing
		if len(page) >= pageBytes {
			page[0] = 1
			return errPageFull
		}
		return nil
	})
	if errors.Is(err, errPageFull) {
		err = nil
	}
	c.reply(aboutWork, err, page)
}
