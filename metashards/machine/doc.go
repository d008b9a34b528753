// Package machine applies commands to one range and answers queries from its rows. It is deterministic: the same entries
// make the same rows on every replica, however they are cut into batches. It reads no clock, draws no random number,
// walks no map and does no I/O but through the batch or reader that it is given.
//
// # How a command is judged
//
// In this order: the span (WRONG_RANGE), the remembered answer of the same request (dedupe), a retry whose first attempt
// is no longer remembered (UNKNOWN_OUTCOME), the bucket's fence (STALE_GENERATION, FROZEN), the write floor
// (BELOW_FLOOR), then the command's own conditions, against the rows as they are at apply. So a refusal by fence or floor
// is certain: no attempt was applied. (Parts and deletes by version id are not remembered here; see below.) Time comes
// with the proposal (range time) and the command (version time).
//
// # Dedupe
//
// Each key has at most one dedupe row: the last final answer given there, with the request's id. A command whose id
// stands in the row is answered from it. A retry (Command.retry) whose id is not there was either never applied or was
// applied and overwritten since. The row's mark tells: it is the highest Command.time of all changes that the row has
// remembered, so a retry with a later time was never applied and is carried out; any other is answered UNKNOWN_OUTCOME.
// This holds for clocks of any skew as long as all attempts of a request carry the same Command.time. Rows go once range
// time is DedupeWindow past their mark, and a retry that old is answered UNKNOWN_OUTCOME, too. A command that changed
// nothing never overwrites a change that is still remembered: 64 losers of a conditional write don't make the winner's
// retry uncertain. Parts are remembered by their own rows, because parts of one key arrive side by side; deleting a
// version by its id without a condition needs no memory.
//
// Commands of one batch that concern the same key need request ids of their own: one row remembers one request.
//
// What the machine cannot see: a first attempt that arrives after its own retry. Whoever hands commands to Raft must give
// a command up before its caller tries again elsewhere.
package machine
