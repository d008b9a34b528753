//go:build !race

package disktest

const underRace = false
