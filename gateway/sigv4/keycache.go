package sigv4

import (
	"container/list"
	"strings"
	"sync"
)

// DefaultKeyCacheEntries suits a server with some thousands of clients.
const DefaultKeyCacheEntries = 4096

// KeyCache keeps the signing keys derived last, since one serves a client for
// a whole day. An entry belongs to the secret itself, so that a changed secret
// never meets an old key. It is safe for concurrent use; a nil KeyCache keeps
// nothing.
type KeyCache struct {
	max int

	mu      sync.Mutex
	entries map[keyScope]*list.Element // values are *keyEntry
	recent  list.List                  // front: used last
}

type keyScope struct{ secret, date, region, service string }

type keyEntry struct {
	scope keyScope
	key   [32]byte
}

// NewKeyCache returns a cache of at most entries keys, at least one.
func NewKeyCache(entries int) *KeyCache {
	return &KeyCache{max: max(entries, 1), entries: make(map[keyScope]*list.Element)}
}

// Len returns the number of keys kept.
func (c *KeyCache) Len() int {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}

func (c *KeyCache) signingKey(secret, date, region, service string) [32]byte {
	if c == nil {
		return deriveKey(secret, date, region, service)
	}
	scope := keyScope{secret, date, region, service}
	c.mu.Lock()
	if e, ok := c.entries[scope]; ok {
		c.recent.MoveToFront(e)
		key := e.Value.(*keyEntry).key
		c.mu.Unlock()
		return key
	}
	c.mu.Unlock()
	key := deriveKey(secret, date, region, service)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[scope]; ok {
		return key
	}
	scope.date, scope.region, scope.service = strings.Clone(date), strings.Clone(region), strings.Clone(service) // not the request's memory
	c.entries[scope] = c.recent.PushFront(&keyEntry{scope, key})
	if len(c.entries) > c.max {
		last := c.recent.Back()
		delete(c.entries, c.recent.Remove(last).(*keyEntry).scope)
	}
	return key
}

func deriveKey(secret, date, region, service string) [32]byte {
	k := sign([]byte("AWS4"+secret), []byte(date))
	k = sign(k[:], []byte(region))
	k = sign(k[:], []byte(service))
	return sign(k[:], []byte(terminal))
}
