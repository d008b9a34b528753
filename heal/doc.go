// Package heal keeps the ideal state of a cluster's bytes: what its rooms do, nobody has to ask for. It asks the metadata what exists
// and never the other way round: no inventory, cache or clock creates or deletes an object.
package heal
