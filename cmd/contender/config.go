package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

// yamlConfig reads a configuration file: one line a flag, named as on the command line. A name that no flag of any verb
// has is an error, so that a misspelt setting is not silently ignored.
func yamlConfig(r io.Reader) (kong.Resolver, error) {
	values := map[string]any{}
	if err := yaml.NewDecoder(r).Decode(&values); err != nil && err != io.EOF {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	return configFile{values}, nil
}

// configFile resolves flags from a configuration file.
type configFile struct{ values map[string]any }

// Validate refuses names that no flag has.
func (c configFile) Validate(app *kong.Application) error {
	known := map[string]bool{}
	_ = kong.Visit(app, func(n kong.Visitable, next kong.Next) error {
		if f, ok := n.(*kong.Flag); ok {
			known[f.Name] = true
		}
		return next(nil)
	})
	var unknown []string
	for name := range c.values {
		if !known[name] {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("configuration file: no such setting: %s", strings.Join(unknown, ", "))
	}
	return nil
}

// Resolve returns the value of a flag, nil if the file has none. The environment wins over the file.
func (c configFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, ok := os.LookupEnv(name); ok {
			return nil, nil
		}
	}
	v, ok := c.values[flag.Name]
	if !ok {
		return nil, nil
	}
	if list, ok := v.([]any); ok {
		var s []string
		for _, e := range list {
			s = append(s, fmt.Sprint(e))
		}
		return strings.Join(s, ","), nil
	}
	return fmt.Sprint(v), nil
}
