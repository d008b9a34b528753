// Package outbox carries out what a commit promised. A command that leaves something to be done elsewhere, such as the
// shards of a replaced version to be deleted, writes an outbox row in the same change; the worker here does it and then
// removes the row. So it happens at least once, whatever crashes in between, and everything done here may be done twice.
package outbox
