package call

import (
	"bytes"
	"context"
	"runtime/debug"
	"time"
)

// xmlPrologue begins every document; what keeps a line alive stands between it and the root element.
const xmlPrologue = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// TrimPrologue returns an XML document from its root element on.
func TrimPrologue(doc []byte) []byte {
	if i := bytes.Index(doc, []byte("?>")); i >= 0 && bytes.HasPrefix(doc, []byte("<?xml")) {
		doc = doc[i+2:]
	}
	return bytes.TrimLeft(doc, "\r\n")
}

// Slowly answers with the XML document that work returns. As long as work takes less than c.KeepAlive, the answer is an
// ordinary one, status and headers included. After that 200 and a blank are sent, then a blank each time c.KeepAlive
// passed, so that neither client nor proxy takes the line for dead; the document, or the error's, follows as the body.
// head, if not nil, sets headers just before a quick answer. When the client leaves, work's context ends; Slowly never
// returns before work did.
func (c *Call) Slowly(ctx context.Context, work func(context.Context) (doc []byte, head func(), err error)) error {
	if c.KeepAlive <= 0 {
		doc, head, err := work(ctx)
		return c.finish(doc, head, err)
	}
	type result struct {
		doc  []byte
		head func()
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil {
				r.err = &PanicError{Value: p, Stack: debug.Stack()}
			}
			done <- r
		}()
		r.doc, r.head, r.err = work(ctx)
	}()
	ticker := time.NewTicker(c.KeepAlive)
	defer ticker.Stop()
	for {
		select {
		case r := <-done:
			return c.finish(r.doc, r.head, r.err)
		case <-ticker.C:
			if err := c.reply.space(); err != nil {
				cancel()
				<-done
				return err
			}
		}
	}
}

// PanicError carries a panic of work to the front, which logs it.
type PanicError struct {
	Value any
	Stack []byte
}

// Error says that something panicked; the value is for the log.
func (*PanicError) Error() string { return "panic in a slow operation" }

func (c *Call) finish(doc []byte, head func(), err error) error {
	if err != nil {
		return err
	}
	if !c.reply.spaced {
		if head != nil {
			head()
		}
		return c.XML(200, doc)
	}
	_, err = c.reply.Write(TrimPrologue(doc))
	return err
}
