// Package bucket keeps buckets and finds them for everyone else.
//
// # Who decides
//
// A bucket's system record is its one authority: whether it exists, with which id, in which generation of its
// configuration, whether ranges may not have heard of that generation (pending), and whether it is being deleted. The
// bucket's rows lie in any number of ranges, which split and move at any moment. Each of them keeps a fence: the
// generation that it has taken, and whether writes are frozen. Every command and query carries the generation that its
// caller knew, and the range refuses any other; so a caller may remember what it read (see Resolver).
//
// A range takes only generations that the record has had, and only later ones than it holds. So a caller that is refused
// because the range holds a later one than it knew reads the record again; and one that knows a later one than the range
// brings it there, to that range alone, and goes on. That is also how a range gets on that did not answer when a
// generation was brought to all: whoever comes to it next settles it.
//
// # Changing the configuration
//
// A change rolls forward, in steps each of which may be the last that a process does:
//
//  1. the record gets the new value and the next generation, and is pending;
//  2. all ranges take that generation;
//  3. the record is settled: it is pending no more.
//
// The change is acknowledged when its record, or a later one, was seen settled: then no range holds an earlier generation,
// so none accepts a write that was made with the old value. Until then a write obeys the one or the other. Whoever finds
// the record pending and needs the change to be over carries on at step 2. Ranges that don't answer are waited for.
//
// # Deleting
//
//  1. the record says "deleting", with the next generation;
//  2. all ranges take that generation, frozen, if they hold nothing of the bucket;
//  3. the record is removed: this decides, because no later generation was decided before, so all ranges are frozen and
//     empty. Then the ranges are told that the bucket is gone for good.
//
// If a range is not empty or has not answered in 10 seconds the record goes back to "not deleting" with a further
// generation, which thaws: the ranges that took the freeze are told at once, any other settles with whoever comes to it.
// Whoever meets a record that says "deleting" goes on at step 2. Each step names the generation that it was decided on, so
// of any number of processes one decides and the others follow. A deletion looks for versions before it begins, so that
// one of a bucket that is not empty stops nobody's writes.
//
// That the ranges are told in the end is only a courtesy: one that does not hear of it stays frozen, and a record that
// says "deleting" is never remembered, so nobody comes with its generation. The fences of buckets that are gone stay in
// the ranges. Ids are never given again, so a fence is of use only while somebody may come who remembers the bucket; but
// a range without a fence takes a bucket for new, so fences must not be collected before that is out of the question.
//
// # Which ranges
//
// A bucket's ranges are walked by position (see Resolver.walk), each answer naming the range that gave it, and so where
// the next one begins. Nobody needs to know the ranges beforehand. A walk is in order and waits at a range that does not
// answer, since where that one ends is not known; the ranges behind it need not wait, as they settle with whoever comes.
package bucket
