// Package wire is the control stream between nodes: Raft messages with their payloads, metadata calls, pulls of snapshots
// and payloads, revisions of the cluster map, and beats that tell who lives. Peers joins a node to all others. It
// implements transport.Remote, and for each remote disk the target that a router asks.
//
// # Two connections a pair
//
// Each node dials its own stream to every peer that it has something to say to, and serves the streams that peers dial.
// On a stream the dialer sends Raft messages, requests and pings; the other side only answers. So each connection has
// one owner that queues, counts and reconnects, nobody settles who may keep a connection that both dialed at once, and a
// large answer never stands in the way of a Raft message, because they travel on different connections.
//
// # Frames
//
// A frame is a header of 24 bytes (lengths of body and payload, id, time to wait, type), a body (a metapb message) and a payload (bytes
// as they are). Each type has its largest size; a frame beyond it, an unknown type, or a byte that should be zero ends
// the connection. The first frame of each side is a Hello with protocol versions, cluster, node and instance.
//
// # Order
//
// Raft messages between two nodes arrive in the order of Send, each at most once, also over reconnections: a node that
// gets a new stream of a peer ends the old one before it takes anything from the new. What is lost is the newest part of
// a queue that is full, and what was under way when a connection broke. Calls have no order, neither among themselves
// nor with Raft messages: beats and cancellations leave first, then requests, then Raft messages, each bounded in bytes a
// flush, so that none starves another.
//
// # Nothing waits for ever
//
// Send never waits. Queues are bounded in number and bytes, what is being written counted; a full one drops Raft messages
// and lets calls wait for their own context. A write that makes no progress, and a peer that is silent though pinged, end
// the connection. A call that was not written yet when its connection or its time ends was surely not carried out
// (store.Unavailable); one that was may have been (store.Indeterminate).
//
// # Trust
//
// A connection is handed in authenticated on both sides, with the node id of the peer. A Raft message from a disk that
// the cluster map does not give to that node is dropped and counted.
//
// # Front-ends
//
// A node that the directory does not list may dial and ask as any other. Nobody dials it, so it hears how a node is by the
// answers to its pings, and nothing is kept of it once its last stream has ended.
package wire
