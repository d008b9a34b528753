// Package objecttest is an object layer in one process for tests: of the layer's own rooms and of whoever stands on
// them, such as the gateway's handlers.
package objecttest
