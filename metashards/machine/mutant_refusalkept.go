//go:build mutant_refusalkept

package machine

// mutantRefusalKept makes a broken machine: what was refused once is refused to each retry, though nothing was done.
const mutantRefusalKept = true
