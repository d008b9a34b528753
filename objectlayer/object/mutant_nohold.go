//go:build mutant_nohold

package object

// mutantNoHold makes a broken layer: a reader does not hold what it reads.
const mutantNoHold = true
