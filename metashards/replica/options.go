package replica

// Options are the measures of a replica. The zero value of a field means its default.
type Options struct {
	// ElectionTicks is how many ticks without a leader start an election (up to twice that, at random). Default 10.
	ElectionTicks int
	// HeartbeatTicks is how often a leader shows that it lives. Default 2.
	HeartbeatTicks int
	// MessageBytes bounds the slim entries in one message. Default 1 MiB.
	MessageBytes int
	// MessagePayloadBytes bounds the payloads in one message, but for one entry's. Default 4 MiB.
	MessagePayloadBytes int
	// InflightMessages and InflightBytes bound what is sent to a follower and not acknowledged; InflightBytes counts
	// payloads. Default 256 and 32 MiB.
	InflightMessages int
	InflightBytes    int
	// UncommittedBytes bounds slim entries, and UncommittedPayloadBytes payloads, that a leader has proposed and that
	// are not committed. Default 16 MiB and 64 MiB.
	UncommittedBytes        int
	UncommittedPayloadBytes int
	// ApplyBytes bounds the slim entries applied in one batch. Default 4 MiB.
	ApplyBytes int
	// CacheBytes bounds the recent entries, with their payloads, kept in memory beyond those that must be. Default 8 MiB.
	CacheBytes int
	// The log is cut when it holds TruncateEntries applied entries, or TruncateBytes of slim entries; KeepEntries of them
	// stay for slow followers. Default 16,384, 64 MiB and 4,096.
	TruncateEntries int
	TruncateBytes   int
	KeepEntries     int
	// SnapshotTicks is how long a snapshot stays open for a follower that asks nothing. Default 100.
	SnapshotTicks int
}

func orDefault(v *int, d int) {
	if *v == 0 {
		*v = d
	}
}

// WithDefaults returns o with defaults filled in.
func (o Options) WithDefaults() Options {
	orDefault(&o.ElectionTicks, 10)
	orDefault(&o.HeartbeatTicks, 2)
	orDefault(&o.MessageBytes, 1<<20)
	orDefault(&o.MessagePayloadBytes, 4<<20)
	orDefault(&o.InflightMessages, 256)
	orDefault(&o.InflightBytes, 32<<20)
	orDefault(&o.UncommittedBytes, 16<<20)
	orDefault(&o.UncommittedPayloadBytes, 64<<20)
	orDefault(&o.ApplyBytes, 4<<20)
	orDefault(&o.CacheBytes, 8<<20)
	orDefault(&o.TruncateEntries, 16384)
	orDefault(&o.TruncateBytes, 64<<20)
	orDefault(&o.KeepEntries, 4096)
	orDefault(&o.SnapshotTicks, 100)
	return o
}
