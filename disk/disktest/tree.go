package disktest

import "github.com/cespare/xxhash/v2"

// tree is an ordered map that never changes: each change gives a new tree that shares most of the old one. It is a
// treap whose priorities are hashes of the keys, so one set of keys always has one shape. The zero tree is empty.
type tree[V any] struct{ root *treeNode[V] }

type treeNode[V any] struct {
	key         string
	value       V
	priority    uint64
	left, right *treeNode[V]
}

func (t tree[V]) get(key string) (v V, ok bool) {
	for n := t.root; n != nil; {
		switch {
		case key < n.key:
			n = n.left
		case key > n.key:
			n = n.right
		default:
			return n.value, true
		}
	}
	return v, false
}

func (t tree[V]) set(key string, value V) tree[V] {
	n := &treeNode[V]{key: key, value: value, priority: xxhash.Sum64String(key)}
	return tree[V]{insertNode(t.root, n)}
}

// insertNode puts n below at. A row of the same key has the same priority, so it is met before n would take the place of
// a row of lower priority: it is always found.
func insertNode[V any](at, n *treeNode[V]) *treeNode[V] {
	if at == nil {
		return n
	}
	if at.key == n.key {
		n.left, n.right = at.left, at.right
		return n
	}
	if n.priority > at.priority {
		n.left, n.right = splitNode(at, n.key)
		return n
	}
	c := *at
	if n.key < at.key {
		c.left = insertNode(at.left, n)
	} else {
		c.right = insertNode(at.right, n)
	}
	return &c
}

// splitNode returns the rows below key and the others.
func splitNode[V any](n *treeNode[V], key string) (below, others *treeNode[V]) {
	if n == nil {
		return nil, nil
	}
	c := *n
	if n.key < key {
		c.right, others = splitNode(n.right, key)
		return &c, others
	}
	below, c.left = splitNode(n.left, key)
	return below, &c
}

// joinNodes joins two trees of which the first lies wholly below the second.
func joinNodes[V any](a, b *treeNode[V]) *treeNode[V] {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.priority >= b.priority:
		c := *a
		c.right = joinNodes(a.right, b)
		return &c
	default:
		c := *b
		c.left = joinNodes(a, b.left)
		return &c
	}
}

func (t tree[V]) delete(key string) tree[V] {
	if _, ok := t.get(key); !ok {
		return t
	}
	return t.deleteRange(key, key+"\x00", true)
}

// deleteRange drops lower ≤ key < upper; without bounded there is no upper bound.
func (t tree[V]) deleteRange(lower, upper string, bounded bool) tree[V] {
	below, rest := splitNode(t.root, lower)
	if !bounded {
		return tree[V]{below}
	}
	if upper < lower {
		return t
	}
	_, above := splitNode(rest, upper)
	return tree[V]{joinNodes(below, above)}
}

// seekGE returns the first row at or above key, nil if there is none.
func (t tree[V]) seekGE(key string) *treeNode[V] {
	var found *treeNode[V]
	for n := t.root; n != nil; {
		if n.key >= key {
			found, n = n, n.left
		} else {
			n = n.right
		}
	}
	return found
}

// seekLT returns the last row below key, nil if there is none.
func (t tree[V]) seekLT(key string) *treeNode[V] {
	var found *treeNode[V]
	for n := t.root; n != nil; {
		if n.key < key {
			found, n = n, n.right
		} else {
			n = n.left
		}
	}
	return found
}
