// Package promise is the promises between stores: "I will neither vote nor campaign against the groups that you lead, for
// D from now". One beat per ordered pair of stores is at once the lease of all groups that one leads and the other follows,
// the failure detector, and the heartbeat of groups that sleep; its size does not depend on how many groups there are.
// docs/decisions says why it is safe.
//
// A Table is one store's side. It has no goroutine and no network, and its clock is handed in. It belongs to whoever steps
// the store's replicas, so that a store whose disk hangs beats no more and loses its leaderships.
//
// # The beat
//
// Several times in D a store sends Ask's Request to each store with which it shares groups; that one gives it to Answer
// and sends back what comes; the first gives that to Hear. Each may be lost, doubled, late or overtaken by anything, and a
// beat that overtakes Raft messages is welcome: nothing depends on an order between them. The granter holds D from receipt,
// the holder counts nine tenths of D from when it asked.
//
// # What a promise covers
//
// A promise counts for a group once the store has acknowledged the leader's term there. That travels with Raft's own
// answers: a MsgAppResp, rejecting or not, or a MsgHeartbeatResp, of a replica, in the leader's term. The store that sends
// one calls Acknowledge when it leaves, if the replica's term in the same Ready is still that of the message and it follows the
// replica that the message goes to (a leader of an earlier term is answered with the term of now, too), and sends the
// Stand along in the message's envelope; the leader's store gives it to Acknowledged. Answers of a store that has no replica
// of the group carry none. If such a store votes all the same, it asks MayVote first, like any other. A Stand names one uninterrupted stretch of the promise, in one life of the store: when the promise
// has lapsed, or either store was restarted, there is a new one, and all acknowledgements are void, late ones among them.
//
// While bound, a store drops votes and votes before the vote that MayVote refuses, and does not tick a replica that follows
// and that MayCampaign refuses, because Raft campaigns in ticks. A campaign that the leader asked for (MsgTimeoutNow, and
// votes with the transfer's context) passes.
//
// # The lease
//
// A leader calls Lead, and may then read by lease while Holds, once it has committed an entry of its term. Wherever it ceases
// to lead, or begins a transfer, Release comes first: before Raft is told to transfer, also where that is done on the way to
// a change of members, and before a last MsgTimeoutNow of a replica that fails. Release is final for the term. A MsgTimeoutNow
// may be under way for any time, so a leader that stays after all reads by index, and awake, until it leads in another term.
//
// A store that votes against a leader of its own steps down by that, before the vote leaves: so the leader's own store
// counts always.
//
// # Sleep
//
// A group that is Settled may sleep: no ticks, no heartbeats, on no replica that follows. Tick's events wake it. A replica
// without a leader never sleeps. A follower that wakes because of Silent, Restarted or Released should forget its leader
// (Raft refuses votes for a while after it heard one) and campaign soon, at a random moment. A follower that is awake, hears
// nothing and may not campaign calls Doubt: should a leader's store live and the leader not, the follower is told.
package promise
