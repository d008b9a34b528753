//go:build mutant_inventory

package orphan

// mutantInventory makes a broken collector: what is old is deleted, whatever the metadata say.
const mutantInventory = true
