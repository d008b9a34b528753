package disktest

// Seeds returns how many of n seeded repetitions a test makes: all of them, or a fifth in a build for the race detector. It
// makes them many times as slow, and races show in few of them; what the many are for shows without it. `make unit` runs
// the tests that ask here both ways.
func Seeds(n int) int {
	if underRace {
		n = max(1, n/5)
	}
	return n
}

// Stride returns how far apart the places are that a test tries which tries one after the other: 1, that is all of them, or
// 5 where Seeds is a fifth.
func Stride() int { return 20 / Seeds(20) }
