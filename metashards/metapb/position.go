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
