// Package audit walks the records of the ranges that a node leads and looks whether the shards that they name are there, on the disks
// that own them. It repairs nothing: it finds out what is missing before somebody wants to read it, and says so in the log and in
// the metrics. What is missing of an extent that can still be read is one thing; an extent of which fewer shards are there than
// it takes is lost, and an alarm.
//
// It goes slowly. A disk that does not answer proves nothing: what lies there counts as neither missing nor there. A record may go
// while its shards are looked for; so what seems to be missing is told only if the record is there afterwards, too.
package audit
