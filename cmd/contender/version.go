package main

import (
	"fmt"
	"runtime"
)

type versionVerb struct{}

// Run prints the version of the program and of the Go that built it.
func (versionVerb) Run() error {
	_, err := fmt.Printf("contender %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
