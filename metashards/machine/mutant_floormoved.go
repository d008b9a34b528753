//go:build mutant_floormoved

package machine

// mutantFloorMoved makes a broken machine: the write floor is applied to a moved reference.
const mutantFloorMoved = true
