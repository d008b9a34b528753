// Package stripe turns a stream of bytes into shards on disks and back.
//
// A blob is cut into extents, each in one placement group; an extent into stripes of k units of data and m of parity;
// shard i of an extent is the concatenation of the i-th units of its stripes, on the disk that owns its slot. So each
// shard is written, and read, as one stream:
//
//	blob    | extent 0                          | extent 1 ...
//	extent  | stripe 0    | stripe 1    | last  |
//	stripe  | u0 | u1 | p | u0 | u1 | p | ...   |      k = 2, m = 1
//	shard 0 | u0          | u0          | u0    |      on the disk of slot Slots[0]
//
// All stripes are full but the last of an extent, whose units are ceil(rest/k) bytes long, padded with zeros.
//
// Writing uses a bounded number of pooled buffers whatever the size of the blob. A disk that fails in the middle costs
// its open extent only: the extent is sealed at the last whole stripe on the members that are left, writing goes on in
// another group, and at the end what the extent holds is copied to a full set of disks before Write returns. Reading
// takes the data shards alone as long as they answer in time and pass their checksums, and parity where they do not.
package stripe
