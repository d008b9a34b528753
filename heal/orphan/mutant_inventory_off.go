//go:build !mutant_inventory

package orphan

const mutantInventory = false
