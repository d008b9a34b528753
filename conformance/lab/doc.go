// Package lab gives tests a network of their own, in which every node has its own addresses, can be made deaf to others,
// and has clocks that differ from theirs. It is made of Linux namespaces that only the test and its children are in, so
// that nothing of it is left when they end, however they end. It needs ip, nft, unshare and nsenter.
package lab
