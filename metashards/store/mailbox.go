package store

import (
	"sync"

	"github.com/contender/contender/metashards/transport"
)

// mailbox holds what came for the core since it last looked. It is safe for concurrent use.
type mailbox struct {
	messagesMost, bytesMost, requestsMost int

	wake chan struct{} // of one place: something is there

	mu     sync.Mutex
	closed bool
	mail
}

// mail is what one look at the mailbox gives.
type mail struct {
	posts     []func()
	beats     []*transport.Message
	messages  []*transport.Message
	proposals []*Proposal
	reads     []*Read
	bytes     int
}

func newMailbox(messages, bytes, requests int) *mailbox {
	return &mailbox{messagesMost: messages, bytesMost: bytes, requestsMost: requests, wake: make(chan struct{}, 1)}
}

// put calls fn on the mail if the box is open, and wakes the core. It returns what fn does.
func (b *mailbox) put(fn func(*mail) bool) (open, taken bool) {
	b.mu.Lock()
	if !b.closed {
		open, taken = true, fn(&b.mail)
	}
	b.mu.Unlock()
	if taken {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
	return open, taken
}

// message takes a message in, or drops it. Beats have a place of their own, so that they are in time however much waits.
func (b *mailbox) message(m *transport.Message) {
	n := m.Bytes()
	b.put(func(l *mail) bool {
		if m.Raft == nil {
			if len(l.beats) >= b.messagesMost {
				return false
			}
			l.beats = append(l.beats, m)
			return true
		}
		if len(l.messages) >= b.messagesMost || l.bytes > 0 && l.bytes+n > b.bytesMost {
			return false
		}
		l.messages = append(l.messages, m)
		l.bytes += n
		return true
	})
}

// post takes a function in, always. In a closed box it is lost.
func (b *mailbox) post(fn func()) {
	b.put(func(l *mail) bool {
		l.posts = append(l.posts, fn)
		return true
	})
}

// proposal takes a proposal in; taken is false if the box is full.
func (b *mailbox) proposal(p *Proposal) (open, taken bool) {
	return b.put(func(l *mail) bool {
		if len(l.proposals) >= b.requestsMost {
			return false
		}
		l.proposals = append(l.proposals, p)
		return true
	})
}

// read takes a read in; taken is false if the box is full.
func (b *mailbox) read(r *Read) (open, taken bool) {
	return b.put(func(l *mail) bool {
		if len(l.reads) >= b.requestsMost {
			return false
		}
		l.reads = append(l.reads, r)
		return true
	})
}

// take empties the box.
func (b *mailbox) take() mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.mail
	b.mail = mail{}
	return l
}

// close empties the box for the last time: nothing comes in any more.
func (b *mailbox) close() mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	l := b.mail
	b.mail = mail{}
	return l
}
