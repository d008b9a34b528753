// Package disktest holds what tests of Contender's disks need, and what tests of everything above a disk need in place
// of one.
//
// Memory is a whole disk in memory: the reference model of the contract in package disk, with crashes. FS is a file
// system in memory whose crashes lose and tear what was not synced, the same way each time for one seed. Faults makes a
// file system fail or hang at a chosen operation; Counter counts its syncs and its bytes. Suite is the conformance suite
// that every disk.Disk must pass.
//
// Nothing here is meant for a running server.
package disktest
