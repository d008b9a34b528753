// Package transport carries what replicas say to one another: Raft messages with the payloads of their entries, which
// may be lost, and the pulls by which a replica fetches a snapshot or a single payload, which are answered or fail.
//
// Sender and Puller are all that a store knows of its peers. Local is the way between stores of one process: by call and
// by reference, nothing is encoded. The way to other nodes is another implementation of the same two interfaces.
package transport
