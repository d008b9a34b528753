//go:build mutant_floor

package machine

// mutantFloor makes a broken machine: the write floor is ignored.
const mutantFloor = true
