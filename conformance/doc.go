// Package conformance is the outside view of Contender: it speaks HTTP and starts real processes, and imports nothing of
// the product. Its rooms: harness starts and kills servers and clusters of them, lab gives them a network of their own and
// clocks that differ, history loads them and knows what they must hold, clients runs the tools that people use, bones shows
// what one node promises and nodes what several do, partitions what holds while the network is cut, crash kills a server at
// random moments and checks that every acknowledged object is there, mutants builds the product broken on purpose and
// demands that a named test notices.
package conformance
