// Package object puts, gets, copies and deletes versions. It decides nothing about existence itself: what must be
// durable first are the bytes (package stripe, or the payload of a command), then one command to the metadata space
// makes them a version, with the conditions of the request judged there.
package object
