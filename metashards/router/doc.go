// Package router is the metadata space as one Store: it finds the range of a position in the cluster map, asks the
// replica that is thought to lead it, follows leaders, and tries again with the same request id while the time lasts, so
// that a change of leader is seen by nobody. It tells truthfully what is known of a command that did not get an answer.
//
// The map may be older than the ranges. A range that does not own a position says which one does; the router remembers
// that until the map knows it, too, so a split costs the requests that meet it one more attempt. Batches and lists may span
// ranges: a batch is cut up by owner and put together again, a list goes on where the range that answered says that it ends.
package router
