package metapb

// System records lie at bucket id 0 under these keys. A command or query that concerns one carries the key, so that it
// finds its range.
const (
	bucketPrefix = "bucket/"
	recordPrefix = "record/"
)

// BucketKey returns the key of the system record of a bucket. With a prefix of names it is the prefix of their keys.
func BucketKey(name string) []byte { return []byte(bucketPrefix + name) }

// RecordKey returns the key of any other system record.
func RecordKey(name string) []byte { return []byte(recordPrefix + name) }

// SystemKey returns the key of the system record that a command is about, and false if it is about none.
func SystemKey(c *Command) ([]byte, bool) {
	switch op := c.GetOp().(type) {
	case *Command_CreateBucket:
		return BucketKey(op.CreateBucket.GetBucket().GetName()), true
	case *Command_UpdateBucket:
		return BucketKey(op.UpdateBucket.GetBucket().GetName()), true
	case *Command_RemoveBucket:
		return BucketKey(op.RemoveBucket.GetName()), true
	case *Command_SettleBucket:
		return BucketKey(op.SettleBucket.GetName()), true
	case *Command_PutSystem:
		return RecordKey(op.PutSystem.GetName()), true
	}
	return nil, false
}
