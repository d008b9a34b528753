// Package nodes shows what a cluster of equal nodes promises, on real server processes seen from outside: any two of five
// may die, kill loops, one winner among writers through all nodes, strangers at the peer port, leaders that are told to
// end, and what an operation costs beside one node. Each test is a line of an issue; conformance/proofs.tsv names them.
package nodes
