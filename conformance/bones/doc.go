// Package bones shows what one node promises, on real server processes seen from outside: a folder that was emptied, how
// many files objects leave, one winner among many writers, what a LIST page costs, bounded memory, draining, and what
// operators ask. Each test is a line of an issue; conformance/proofs.tsv names them.
package bones
