//go:build mutant_nodelay

package machine

// mutantNoDelay makes a broken machine: deleted bytes may go at once.
const mutantNoDelay = true
