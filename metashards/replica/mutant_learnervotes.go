//go:build mutant_learnervotes

package replica

// mutantLearnerVotes counts a learner as a voter: what it keeps commits what a voter lacks. simtest's TestLearnerHasNoVote
// must catch it.
const mutantLearnerVotes = true
