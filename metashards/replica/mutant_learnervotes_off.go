//go:build !mutant_learnervotes

package replica

const mutantLearnerVotes = false
