// Package metapb holds the records, commands, queries and answers of the metadata space as protocol buffers. They are
// what lies in the log and in the state of a disk and what peers say to each other, so numbers are never reused and
// fields never change their meaning; docs/format.md says where each is kept. Encode with MarshalVT, decode with
// UnmarshalVT: one record has one encoding, because no message holds a map.
package metapb
