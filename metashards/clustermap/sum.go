package clustermap

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/zeebo/xxh3"
)

// keptSum is the sum of a map that is not changed any more. It is made once, and shared by all who hold the map.
type keptSum struct {
	once  sync.Once
	parts uint64
	err   error
}

// The lists of a map, as their elements are told apart in its sum.
const (
	tagHead = iota
	tagNode
	tagDisk
	tagGroup
	tagRange
	tagCopyset
)

// sum names the map's content: it is the sum of its head and of all elements of its lists, each hashed by itself, so that the
// sum of a large map in which little changes is made from what changes.
func (m *Map) sum() (uint64, error) {
	parts, err := m.sumOfParts()
	if err != nil {
		return 0, err
	}
	head, err := m.sumOfHead()
	return parts + head, err
}

// sumOfParts sums up the lists' elements. A map that came whole, or by Apply, does so once.
func (m *Map) sumOfParts() (uint64, error) {
	if m.kept == nil {
		return m.sumAnew()
	}
	m.kept.once.Do(func() { m.kept.parts, m.kept.err = m.sumAnew() })
	return m.kept.parts, m.kept.err
}

func (m *Map) sumAnew() (sum uint64, err error) {
	for _, add := range []func() (uint64, error){
		func() (uint64, error) { return sumOf(tagNode, m.Nodes) },
		func() (uint64, error) { return sumOf(tagDisk, m.Disks) },
		func() (uint64, error) { return sumOf(tagGroup, m.Groups) },
		func() (uint64, error) { return sumOf(tagRange, m.Ranges) },
		func() (uint64, error) { return sumOf(tagCopyset, m.Copysets) },
	} {
		s, err := add()
		if err != nil {
			return 0, err
		}
		sum += s
	}
	return sum, nil
}

// sumOfHead is the sum of what is in no list, and of which lists are null.
func (m *Map) sumOfHead() (uint64, error) {
	head := *m
	head.Nodes, head.Disks, head.Groups, head.Ranges, head.Copysets = m.Nodes[:0], m.Disks[:0], m.Groups[:0], m.Ranges[:0], nil
	return sumOf(tagHead, []*Map{&head})
}

// sumOf sums up the elements of a list.
func sumOf[T any](tag byte, list []T) (sum uint64, err error) {
	for _, x := range list {
		b, err := json.Marshal(x)
		if err != nil {
			return 0, fmt.Errorf("sum up a cluster map: %w", err)
		}
		sum += xxh3.HashSeed(b, uint64(tag))
	}
	return sum, nil
}
