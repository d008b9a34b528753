//go:build !clockfile

package main

import (
	"log/slog"

	"github.com/contender/contender/cmd/node"
)

// serverEnv is the world that a server runs in.
func serverEnv(log *slog.Logger) (node.Env, error) { return node.SystemEnv(log), nil }
