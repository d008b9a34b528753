package local

import "sync/atomic"

type counters struct {
	syncs, writes, bytes, flushes, replayed, corrupt atomic.Int64
	created, reused, moved, movedBytes               atomic.Int64
	thinFlushes, thinned, rowsRead, stepsRead        atomic.Int64
}

// Stats is what the disk has done since Open, and what it holds now.
type Stats struct {
	LogSyncs        int64 // syncs of segments
	LogWrites       int64 // write calls on segments
	LogBytes        int64 // bytes written to segments, zero-filling of new ones left out
	Flushes         int64 // flushes of the state that we asked for
	Replayed        int64 // records that Open brought into the index
	CorruptRecords  int64 // records found damaged
	SegmentsCreated int64
	SegmentsReused  int64
	MovedRecords    int64 // records that compaction copied, and their bytes
	MovedBytes      int64
	StateRows       int64 // rows of the state that iterators came to
	StateSteps      int64 // steps that they took: rows, and what is gone between them
	ThinFlushes     int64 // flushes of the state because reads were slow in what it had not flushed
	Thinned         int64 // stretches of the state compacted because reads were slow in them
	Segments        int64 // files of the log
	ReadySegments   int64 // of them, those in nobody's use
	LiveBytes       int64 // bytes of records that the index refers to
	ReplayBytes     int64 // log that a restart would replay
}

// Stats returns the counters. It is safe for concurrent use.
func (d *Disk) Stats() Stats {
	c := &d.stats
	s := Stats{
		LogSyncs: c.syncs.Load(), LogWrites: c.writes.Load(), LogBytes: c.bytes.Load(), Flushes: c.flushes.Load(),
		StateRows: c.rowsRead.Load(), StateSteps: c.stepsRead.Load(),
		ThinFlushes: c.thinFlushes.Load(), Thinned: c.thinned.Load(),
		Replayed: c.replayed.Load(), CorruptRecords: c.corrupt.Load(), SegmentsCreated: c.created.Load(),
		SegmentsReused: c.reused.Load(), MovedRecords: c.moved.Load(), MovedBytes: c.movedBytes.Load(),
	}
	s.ReplayBytes = d.unflushed()
	d.t.mu.Lock()
	defer d.t.mu.Unlock()
	s.Segments, s.ReadySegments = int64(d.t.files), int64(len(d.t.ready))
	for _, g := range d.t.segs {
		s.LiveBytes += g.live
	}
	return s
}
