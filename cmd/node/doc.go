// Package node assembles one Contender node from a Config and an Env: it opens or founds the disks, starts the replicas
// on them, and stands the object layer and the gateway on top. It is the only place where wires are joined; read node.go
// from the top to see the whole system in the order in which it starts.
package node
