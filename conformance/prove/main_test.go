package main

import "testing"

// TestFolders: a proof that tests a package in process is about that package and what it imports, one that drives the
// real binary is about all of the product. Every command of the table says which.
func TestFolders(t *testing.T) {
	t.Chdir("../..")
	for command, want := range map[string]map[string]bool{
		"SEEDS=9 go test -v -run '^TestX$' ./disk/segment -seeds 9": {
			"disk/segment": true, "disk": true, "gateway": false, "cmd/contender": false, "conformance/bones": false,
		},
		"go test -tags bones -v ./conformance/bones": {
			"conformance/bones": true, "conformance/harness": true, "gateway": true, "disk/segment": true, "cmd/contender": true,
			"conformance/crash": false,
		},
		"./conformance/mutants/run": {"conformance/mutants": true, "gateway": true, "conformance/bones": false},
	} {
		folders, err := foldersOf(command)
		if err != nil {
			t.Fatal(err)
		}
		for folder, in := range want {
			if folders[folder] != in {
				t.Errorf("%s: %s: %t", command, folder, !in)
			}
		}
	}
	if _, err := foldersOf("make test"); err == nil {
		t.Error("a command that names no package passes for one that nothing makes stale")
	}
	proofs, err := readTable()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range proofs {
		if _, packages, _ := subject(p.full); len(packages) == 0 {
			t.Errorf("%s: no package in %s", p.name, p.full)
		}
	}
}

func TestProduct(t *testing.T) {
	files := []string{"disk/log.go", "disk/log_test.go", "disk/peer/doc.go", "docs/format.md", "go.mod", "README.md"}
	if n := product(files, map[string]bool{"disk": true}); n != 2 {
		t.Errorf("%d files of the product, want disk/log.go and go.mod", n)
	}
}
