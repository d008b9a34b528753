// Package simtest runs whole clusters of stores in one goroutine under one seeded queue: every message, tick, sync, crash
// and answer is an event at a virtual time, drawn from the seed. One seed gives one course of events, whose hash is its
// trace; a failing seed can be run again and again.
//
// Messages are delayed, reordered, lost, and cut off one way; stores crash between append and sync, losing what was not
// synced, and start again; clients write, read and list meanwhile through whichever store, try again as package router
// does, and keep a history, which must be linearizable. At the end the faults stop, everything must converge, and all
// replicas must hold the same rows.
//
// Raft draws its election timeouts from crypto/rand: a test that wants the same course twice calls
// cryptotest.SetGlobalRandom with the seed. Nothing here is meant for a running server.
package simtest
