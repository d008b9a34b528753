// Package partitions shows that three and five nodes stay linearizable in a network that is cut, on clocks that differ, and
// while processes die and pause: real servers in network namespaces of their own, a history of what many clients did
// through all of them, and Porcupine to judge it.
//
// What happens meanwhile is drawn from a seed: SIGKILL, of one node and now and then of all; SIGSTOP for some seconds,
// mostly of a node that leads; cuts in one direction and in both, and of all but one node from the rest; ranges that split
// by size, and by order, where they are told to; replicas that move by order, and as the cluster grows from three nodes to
// five. After each while the trouble rests, and every node must answer again within a bound.
//
// What is tested of clocks. Boot time: every start of a node gets a time namespace in which CLOCK_BOOTTIME is ahead by
// another amount, up to eleven days, so promises that compared the boot clocks of two nodes, or of one node before and
// after its restart, would not hold. All of them run at one speed: drift is not tested. Nor are machines that sleep: a
// stopped process is not woken by the clock, but the clock goes on, which is the same to it. Wall clock: no namespace has
// one, so the server is built with the tag clockfile, in which the wall clock that cmd/node hands to everything is read
// through a file; the test steps it by an hour and back. What asks the system past that seam (time stamps in logs, HTTP's
// Date, deadlines of connections, which Go keeps on the monotonic clock) is not stepped. A client signs by the clock of
// the node that it asks.
package partitions
