// Package admin answers operators in JSON below /-/admin/. The front lets only the cluster's root keys in, signed with
// SigV4 as for S3. What is shown and done comes from small interfaces declared here; the console page uses Source, too.
package admin

import "context"

// StatusFormat is the version of the JSON form of Status. Fields are only added, never renamed or taken away.
const StatusFormat = 1

// BytesUnknown stands where the metadata could not be asked for a number of bytes.
const BytesUnknown = -1

// Source tells the state of the cluster as this node sees it. It is safe for concurrent use and ends with its context.
type Source interface {
	Status(ctx context.Context) (Status, error)
}

// Status is what `contender status --json` prints: the contract with scripts.
type Status struct {
	Format  int    `json:"format"`  // StatusFormat
	Version string `json:"version"` // of the program that answered
	Cluster string `json:"cluster"` // the cluster's id
	Healthy bool   `json:"healthy"` // all nodes and disks serve, all bytes have their full redundancy
	Nodes   []Node `json:"nodes"`
	// FrontEnds are those without disks that are connected with the node that answers.
	FrontEnds        []FrontEnd `json:"front_ends,omitempty"`
	Ranges           Ranges     `json:"ranges"`
	Groups           Groups     `json:"groups"`
	Policy           string     `json:"policy"` // the redundancy that new writes get now, such as "ec:2+1"
	Tolerates        Tolerates  `json:"tolerates"`
	BytesBelowPolicy int64      `json:"bytes_below_policy"` // in fewer data or parity shards than the policy asks; BytesUnknown: nobody could be asked
}

// Node is one node of the cluster.
type Node struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	S3    string `json:"s3"`    // host:port that clients use
	Peer  string `json:"peer"`  // host:port that other nodes use
	State string `json:"state"` // StateUp or a word for what is wrong
	Site  string `json:"site"`
	Rack  string `json:"rack"`
	Disks []Disk `json:"disks"`
	// MaintenanceUntil is until when somebody works on it, in seconds since 1970: it leads no range where another node can.
	MaintenanceUntil int64 `json:"maintenance_until,omitempty"`
	// ReplacedBy is the id of the node that joined in its place. Nothing of it is expected back.
	ReplacedBy string `json:"replaced_by,omitempty"`
	// ClockOff: its wall clock is so far from the median of all that it leads no range where another node can, and
	// ClockAheadSeconds by how much; below zero it is behind. Seconds are told only then.
	ClockOff          bool    `json:"clock_off,omitempty"`
	ClockAheadSeconds float64 `json:"clock_ahead_seconds,omitempty"`
}

// FrontEnd answers S3 and keeps nothing. It is known for as long as it runs, by another id each time.
type FrontEnd struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	S3   string `json:"s3"` // host:port that clients use
}

// Disk is one disk of a node.
type Disk struct {
	ID            string `json:"id"`
	Path          string `json:"path"`
	Device        string `json:"device"` // what the folder lies on: folders of one device fail together
	State         string `json:"state"`  // StateUp or a word for what is wrong
	UsedBytes     int64  `json:"used_bytes"`
	CapacityBytes int64  `json:"capacity_bytes"`
	// ReplacedBy is the id of the disk that came to be in its folder. Nothing of it is expected back.
	ReplacedBy string `json:"replaced_by,omitempty"`
}

// StateUp is the state of a node or disk with which nothing is wrong.
const StateUp = "up"

// Ranges sums up the metadata.
type Ranges struct {
	Count           int `json:"count"`
	ReplicasWanted  int `json:"replicas_wanted"`  // of each range
	UnderReplicated int `json:"under_replicated"` // ranges with fewer live replicas than wanted
	Differing       int `json:"differing"`        // how often disks tell that replicas of a range differ: who leads it does, and a replica that knows that it does
	// Remade is how many replicas were made anew because they held other rows than most, on nodes that answer, each since it
	// was started, and RemadeLast when the last was, in seconds since 1970 by the clock of its node.
	Remade     uint64 `json:"remade,omitempty"`
	RemadeLast int64  `json:"remade_last,omitempty"`
}

// Groups sums up the placement groups.
type Groups struct {
	Count  int `json:"count"`
	AtRisk int `json:"at_risk"` // groups that take or hold bytes and lack a live slot
}

// Tolerates is how many further failures of each kind lose nothing that was acknowledged.
type Tolerates struct {
	Folder int `json:"folder"`
	Device int `json:"device"`
	Node   int `json:"node"`
	Rack   int `json:"rack"`
	Site   int `json:"site"`
}
