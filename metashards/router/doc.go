// Package router is the metadata space as one Store: it finds the range of a position in the cluster map, asks the
// replica that is thought to lead it, follows leaders, and tries again with the same request id while the time lasts, so
// that a change of leader is seen by nobody. It tells truthfully what is known of a command that did not get an answer.
package router
