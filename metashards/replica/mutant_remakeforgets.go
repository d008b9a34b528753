//go:build mutant_remakeforgets

package replica

// mutantRemakeForgets has a replica that is remade take a snapshot that lacks entries which it has acknowledged.
const mutantRemakeForgets = true
