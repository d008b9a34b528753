// Package store runs all replicas of one disk. Core is the machinery: events in (ticks, messages, proposals, reads), and
// cycles that do everything that the events made necessary at once. It has no goroutine, no clock and no select, so that
// a simulation can run many of them under one seeded queue in one goroutine. Store gives a Core its goroutine and its
// mailbox for use in a server.
//
// A cycle gathers what every replica wants written. Messages that need not wait leave first; then one append and one
// sync of the disk's log serve all replicas; then the other messages leave, committed entries are applied, one batch of
// rows per replica, waiting clients are answered and reads released. While a sync runs, events gather in the mailbox and
// the next cycle takes them all: commands that came for one range ride in one Raft entry, and reads share one round.
package store
