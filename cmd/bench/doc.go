// Package bench loads any S3 endpoints side by side and reports ratios. The endpoints take turns, round by round, so that
// a machine whose speed drifts slows all of them alike; the ratio of two endpoints is the median of their ratios pair by
// pair. Where process ids of a server are given, the CPU time that it spent per operation is reported too: on a shared
// machine that is the steadiest figure.
package bench
