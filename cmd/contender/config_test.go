package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// parse reads a command line as main does, with a file for --config.
func parse(t *testing.T, file string, args ...string) (verbs, error) {
	t.Helper()
	if file != "" {
		path := filepath.Join(t.TempDir(), "contender.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	var v verbs
	p, err := kong.New(&v, kong.Name("contender"), kong.DefaultEnvars("CONTENDER"), kong.Configuration(yamlConfig))
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Parse(args)
	return v, err
}

func TestServerDefaults(t *testing.T) {
	v, err := parse(t, "", "server", "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	want := serverVerb{
		Dirs: []string{"a", "b"}, Listen: ":9000", Peer: ":9002", Console: ":9001", Region: "us-east-1", Metrics: "local",
		LogLevel: slog.LevelInfo, LogFormat: "text", DeleteDelay: 15 * time.Minute, OrphanGrace: 24 * time.Hour, SegmentBytes: 64 << 20, Reads: "promise", RangeMaxBytes: 256 << 20, RangeMaxRate: 5000, DrainTimeout: 20 * time.Second,
	}
	if !reflect.DeepEqual(v.Server, want) {
		t.Errorf("%+v, want %+v", v.Server, want)
	}
	if _, err := parse(t, "", "server"); err == nil {
		t.Error("a server without a folder is accepted")
	}
}

// TestSettings: the command line wins over the environment, that over the file, that over the default.
func TestSettings(t *testing.T) {
	const file = "region: from-file\nrack: from-file\nsite: from-file\nlisten: 127.0.0.1:1\ndelete-delay: 3s\ninit: true\njoin: [a:1, b:2]\nsegment-bytes: 1048576\n"
	t.Setenv("CONTENDER_REGION", "from-environment")
	t.Setenv("CONTENDER_RACK", "from-environment")
	v, err := parse(t, file, "server", "d", "--region", "from-flag")
	if err != nil {
		t.Fatal(err)
	}
	s := v.Server
	if s.Region != "from-flag" || s.Listen != "127.0.0.1:1" || s.DeleteDelay != 3*time.Second || !s.Init ||
		!reflect.DeepEqual(s.Join, []string{"a:1", "b:2"}) || s.SegmentBytes != 1<<20 || s.Site != "from-file" || s.Peer != ":9002" {
		t.Errorf("%+v", s)
	}
	if s.Rack != "from-environment" {
		t.Errorf("rack %s: the file won over the environment", s.Rack)
	}
}

func TestBadConfigurationFiles(t *testing.T) {
	for name, c := range map[string]struct{ file, says string }{
		"a misspelt setting": {"regoin: x\n", "no such setting: regoin"},
		"not YAML":           {"region: [\n", "configuration file"},
		"a wrong value":      {"delete-delay: soon\n", "delete-delay"},
		"not one of a few":   {"metrics: everybody\n", "metrics"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parse(t, c.file, "server", "d"); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
	if _, err := parse(t, "# nothing but a remark\n", "server", "d"); err != nil {
		t.Errorf("an empty file: %v", err)
	}
}
