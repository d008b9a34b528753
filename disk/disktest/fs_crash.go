package disktest

import (
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// crash builds what a power cut leaves. Each file and directory has a random source of its own, made from the seed and
// its name, so what happens to one does not depend on what else there is.
type crash struct {
	fs   *FS
	seed uint64
	done map[*node]*node // files may have several names
}

func (x *crash) rng(name string) *rand.Rand {
	return rand.New(rand.NewPCG(x.seed, xxhash.Sum64String(name)))
}

func (x *crash) node(name string, n *node) *node {
	if c, ok := x.done[n]; ok {
		c.links++
		return c
	}
	var c *node
	if n.dir() {
		c = x.dir(name, n)
	} else {
		c = x.file(name, n)
		x.fs.used += c.size
	}
	c.links = 1
	x.done[n] = c
	return c
}

// dir keeps what was synced of a directory and a prefix of the changes that concern partial files.
func (x *crash) dir(name string, n *node) *node {
	children := maps.Clone(n.synced)
	var ops [][]dirChange
	for _, op := range n.ops {
		if x.fs.partial(join(name, op[0].name)) {
			ops = append(ops, op)
		}
	}
	for _, op := range ops[:x.rng(name+"/").IntN(len(ops)+1)] {
		for _, c := range op {
			if c.node == nil {
				delete(children, c.name)
			} else {
				children[c.name] = c.node
			}
		}
	}
	c := newDir()
	for _, child := range slices.Sorted(maps.Keys(children)) {
		c.children[child] = x.node(join(name, child), children[child])
	}
	c.synced = maps.Clone(c.children)
	return c
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// file keeps what was synced of a file and, if it is partial, some of the sectors that were not.
func (x *crash) file(name string, n *node) *node {
	n.token = new(byte) // from here on n copies its pages before it writes to them
	c := newFile()
	c.pages = slices.Clone(n.pages)
	c.size = n.size
	if len(n.dirty) == 0 {
		c.syncedSize = c.size
		return c
	}
	sectors := slices.Sorted(maps.Keys(n.dirty))
	r := x.rng(name)
	mode, partial := r.IntN(4), x.fs.partial(name)
	size := n.syncedSize
	for i, s := range sectors {
		keep := partial && (mode == 0 || mode > 1 && r.IntN(2) == 0)
		from := 0 // bytes of the sector that are kept
		switch {
		case keep && i == len(sectors)-1 && r.IntN(2) == 0:
			from = r.IntN(sectorBytes)
		case keep:
			from = sectorBytes
		}
		if from > 0 {
			size = max(size, min(n.size, s*sectorBytes+int64(from)))
		}
		if from == sectorBytes {
			continue
		}
		old := n.dirty[s]
		if old == nil {
			old = new([sectorBytes]byte)
		}
		c.put(old[from:], s*sectorBytes+int64(from))
	}
	if partial && r.IntN(2) == 0 {
		size = n.size // the length came to the disk, the bytes did not
	}
	c.cut(size)
	c.syncedSize = c.size
	return c
}

// cut shortens a file; what lay behind its end is zero from then on.
func (n *node) cut(size int64) {
	n.size = size
	pages := (size + pageBytes - 1) / pageBytes
	if int64(len(n.pages)) > pages {
		n.pages = n.pages[:pages]
	}
	if rest := size % pageBytes; rest > 0 && int64(len(n.pages)) == pages && n.pages[pages-1] != nil {
		clear(n.page(pages - 1).data[rest:])
	}
}
