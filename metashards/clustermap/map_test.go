package clustermap

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/contender/contender/disk"
)

func valid() *Map {
	return &Map{
		Format: Format, Revision: 3, Cluster: disk.ClusterID{9}.String(), Region: "us-east-1", Policy: "auto",
		Nodes: []Node{{ID: 1, Name: "n1", Site: "a", Rack: "r"}, {ID: 2, Name: "n2"}},
		Disks: []Disk{
			{ID: 1, Node: 1, Device: "x", CapacityBytes: 10},
			{ID: 2, Node: 1, Device: "x"},
			{ID: 1 << 63, Node: 2, Device: "x"},
		},
		Groups: []Group{{ID: 1, Epoch: 1, K: 1, M: 1, Slots: []Slot{{Owner: 1}, {Owner: 1 << 63, Incoming: 2}}}},
		Ranges: []Range{
			{ID: 1, End: []byte("m"), Replicas: []Replica{{ID: 1, Disk: 1}}},
			{ID: 2, Start: []byte("m"), Replicas: []Replica{{ID: 1, Disk: 2}, {ID: 2, Disk: 1}}},
		},
	}
}

func TestValidate(t *testing.T) {
	if err := valid().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		break_ func(*Map)
		says   string
	}{
		"format":             {func(m *Map) { m.Format++ }, "format"},
		"cluster":            {func(m *Map) { m.Cluster = "x" }, "cluster id"},
		"order of nodes":     {func(m *Map) { m.Nodes[0].ID = 2 }, "ascending"},
		"zero disk":          {func(m *Map) { m.Disks[0].ID = 0 }, "ascending"},
		"node of a disk":     {func(m *Map) { m.Disks[0].Node = 7 }, "not there"},
		"device":             {func(m *Map) { m.Disks[0].Device = "" }, "device"},
		"capacity":           {func(m *Map) { m.Disks[0].CapacityBytes = -1 }, "capacity"},
		"order of groups":    {func(m *Map) { m.Groups[0].ID = 0 }, "ascending"},
		"slots":              {func(m *Map) { m.Groups[0].K = 2 }, "slots"},
		"epoch":              {func(m *Map) { m.Groups[0].Epoch = 0 }, "epoch"},
		"owner":              {func(m *Map) { m.Groups[0].Slots[0].Owner = 5 }, "owner"},
		"owner twice":        {func(m *Map) { m.Groups[0].Slots[1].Owner = 1 }, "two slots"},
		"incoming":           {func(m *Map) { m.Groups[0].Slots[1].Incoming = 5 }, "incoming"},
		"range id":           {func(m *Map) { m.Ranges[1].ID = 1 }, "twice"},
		"empty range":        {func(m *Map) { m.Ranges[1].End = []byte("a") }, "empty"},
		"overlap":            {func(m *Map) { m.Ranges[0].End = []byte("n") }, "before"},
		"endless first":      {func(m *Map) { m.Ranges[0].End = nil }, "before"},
		"replica's disk":     {func(m *Map) { m.Ranges[0].Replicas[0].Disk = 5 }, "replica"},
		"one disk, two":      {func(m *Map) { m.Ranges[1].Replicas[1].Disk = 2 }, "replica"},
		"an order nowhere":   {func(m *Map) { m.Ranges[1].Move = &Move{From: 2, To: 2} }, "is to go"},
		"an order to none":   {func(m *Map) { m.Ranges[1].Move = &Move{From: 2, To: 5} }, "is to go"},
		"order of sets":      {func(m *Map) { m.Copysets = []Copyset{{ID: 2, Disks: []disk.ID{1}}, {ID: 1, Disks: []disk.ID{2}}} }, "ascending"},
		"an empty set":       {func(m *Map) { m.Copysets = []Copyset{{ID: 1}} }, "no disks"},
		"a set of strangers": {func(m *Map) { m.Copysets = []Copyset{{ID: 1, Disks: []disk.ID{1, 5}}} }, "copyset"},
		"a disk twice":       {func(m *Map) { m.Copysets = []Copyset{{ID: 1, Disks: []disk.ID{1, 1}}} }, "copyset"},
		"one replica twice":  {func(m *Map) { m.Ranges[1].Replicas[1].ID = 1 }, "replica"},
	} {
		m := valid()
		c.break_(m)
		if err := m.Validate(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want something about %q", name, err, c.says)
		}
	}
}

func TestCloneIsDeep(t *testing.T) {
	m, want := valid(), valid()
	m.Ranges[1].Move, want.Ranges[1].Move = &Move{From: 2, To: 1 << 63}, &Move{From: 2, To: 1 << 63}
	m.Copysets, want.Copysets = []Copyset{{ID: 1, Disks: []disk.ID{1, 2}}}, []Copyset{{ID: 1, Disks: []disk.ID{1, 2}}}
	c := m.Clone()
	if !reflect.DeepEqual(c, want) {
		t.Fatal("the clone differs")
	}
	c.Nodes[0].ID, c.Disks[0].ID, c.Groups[0].Slots[0].Owner, c.Ranges[1].Replicas[0].Disk = 9, 9, 9, 9
	c.Ranges[1].Move.To, c.Copysets[0].Disks[0] = 9, 9
	if !reflect.DeepEqual(m, want) {
		t.Fatal("changing the clone changed the map")
	}
}

func TestFind(t *testing.T) {
	m := valid()
	m.Groups = append(m.Groups, Group{ID: 1<<32 - 1})
	if d := m.Disk(2); d == nil || d.ID != 2 || m.Disk(3) != nil {
		t.Error("Disk")
	}
	if n := m.Node(2); n == nil || n.Name != "n2" || m.Node(3) != nil {
		t.Error("Node")
	}
	if g := m.Group(1<<32 - 1); g == nil || m.Group(1) == nil || m.Group(2) != nil {
		t.Error("Group")
	}
}

func TestPlaces(t *testing.T) {
	p := NewPlaces(valid())
	want := map[Level]int{Folder: 3, Device: 2, NodeLevel: 2, Rack: 2, Site: 2}
	for l, n := range want {
		if p.Count(l) != n {
			t.Errorf("%d domains of level %v, want %d", p.Count(l), l, n)
		}
	}
	a, _ := p.Of(Device, 1)
	b, _ := p.Of(Device, 2)
	c, _ := p.Of(Device, 1<<63)
	if a != b || a == c {
		t.Error("a device is named within its node")
	}
	if _, ok := p.Of(Site, 77); ok {
		t.Error("a disk that is not there")
	}
}

func FuzzUnmarshal(f *testing.F) {
	b, err := valid().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"format":1,"groups":[{"slots":null}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Unmarshal(b)
		if err != nil {
			return
		}
		one, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Unmarshal(one)
		if err != nil {
			t.Fatal(err)
		}
		two, err := again.Clone().Marshal()
		if err != nil || !bytes.Equal(one, two) {
			t.Fatalf("encoding changed: %s, then %s, %v", one, two, err)
		}
		_ = m.Validate()
		NewPlaces(m)
	})
}
