// Command prove runs the full-size target of every "Shown by" sentence and keeps the results in docs/proofs.md: date,
// commit, and what came out. It is run from the root of the checkout by `make prove`; names as arguments run only those.
// `-stale` runs nothing and lists the proofs that are red, were never run, or have had the product's files change since
// that they are about.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"
)

const (
	tablePath  = "conformance/proofs.tsv"
	resultPath = "docs/proofs.md"
)

// A proof is one line of the table.
type proof struct{ name, issue, sentence, small, full, needs string }

// A result is one line of docs/proofs.md.
type result struct{ date, commit, outcome string }

func main() {
	stale := flag.Bool("stale", false, "list what is red, never run or out of date; run nothing")
	flag.Parse()
	if err := run(*stale, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "prove:", err)
		os.Exit(1)
	}
}

func run(stale bool, only []string) error {
	proofs, err := readTable()
	if err != nil {
		return err
	}
	results, err := readResults()
	if err != nil {
		return err
	}
	if stale {
		return listStale(proofs, results)
	}
	commit, err := git("rev-parse", "--short", "HEAD")
	if err != nil {
		return err
	}
	red := 0
	for _, p := range proofs {
		if len(only) > 0 && !slices.Contains(only, p.name) {
			continue
		}
		r := result{date: time.Now().UTC().Format("2006-01-02"), commit: commit, outcome: execute(p)}
		if strings.HasPrefix(r.outcome, "red") {
			red++
		}
		fmt.Printf("%s: %s\n", p.name, r.outcome)
		results[p.name] = r
		if err := writeResults(proofs, results); err != nil {
			return err
		}
	}
	if red > 0 {
		return fmt.Errorf("%d proofs are red", red)
	}
	return nil
}

// execute runs the full-size command of a proof and says what came out.
func execute(p proof) string {
	if p.needs != "" && os.Getenv(p.needs) == "" {
		return "not run: " + p.needs + " is not set"
	}
	began := time.Now()
	cmd := exec.Command("bash", "-c", p.full)
	cmd.Env = append(os.Environ(), "CONTENDER_FULL=1")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	err := cmd.Run()
	took := time.Since(began).Round(time.Second)
	if err != nil {
		return fmt.Sprintf("red after %v: %v", took, err)
	}
	return fmt.Sprintf("green in %v", took)
}

func readTable() ([]proof, error) {
	f, err := os.Open(tablePath)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []proof
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		c := strings.Split(line, "\t")
		if len(c) != 6 {
			return nil, fmt.Errorf("%s: want 6 columns, have %d: %s", tablePath, len(c), line)
		}
		out = append(out, proof{c[0], c[1], c[2], c[3], c[4], strings.Trim(c[5], "-")})
	}
	return out, nil
}

func readResults() (map[string]result, error) {
	out := map[string]result{}
	b, err := os.ReadFile(resultPath)
	if os.IsNotExist(err) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for _, line := range strings.Split(string(b), "\n") {
		c := strings.Split(strings.Trim(line, "| "), " | ")
		if len(c) == 6 && strings.HasPrefix(line, "| `") {
			out[strings.Trim(c[0], "`")] = result{c[3], c[4], c[5]}
		}
	}
	return out, nil
}

func writeResults(proofs []proof, results map[string]result) error {
	var b strings.Builder
	b.WriteString("# Proofs\n\nEach promise of an issue, the target that shows it, and its last run at full size by `make prove`. The small size of each\nruns in `make test`. A proof is stale once product code that it runs has changed since its commit:\n`go run ./conformance/prove -stale` lists those. The commands are in `" + tablePath + "`.\n\n| proof | issue | what it shows | date | commit | result |\n|---|---|---|---|---|---|\n")
	for _, p := range proofs {
		r, ok := results[p.name]
		if !ok {
			r = result{"-", "-", "never run"}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", p.name, p.issue, p.sentence, r.date, r.commit, r.outcome)
	}
	return os.WriteFile(resultPath, []byte(b.String()), 0o644)
}

// subject says what the command of a proof runs: packages of this module under these build tags, and folders of scripts.
// With the tags of conformance, and with the mutants, that is the binary whatever the tests import.
func subject(command string) (tags string, packages, scripts []string) {
	const binary = "./cmd/contender"
	words := strings.Fields(command)
	for i, w := range words {
		switch {
		case w == "-tags" && i+1 < len(words):
			tags = words[i+1]
		case strings.HasPrefix(w, "./conformance/mutants/"):
			packages, scripts = append(packages, binary), append(scripts, path.Dir(path.Clean(w)))
		case strings.HasPrefix(w, "./"):
			packages = append(packages, w)
		}
	}
	for _, t := range strings.Split(tags, ",") {
		if slices.Contains([]string{"clients", "bones", "nodes", "crash", "partitions"}, t) {
			packages = append(packages, binary)
			break
		}
	}
	return tags, packages, scripts
}

// foldersOf returns the folders of this module that the command of a proof runs code of, embedded files included.
func foldersOf(command string) (map[string]bool, error) {
	tags, packages, scripts := subject(command)
	if len(packages) == 0 {
		return nil, fmt.Errorf("no package of this module in %q", command)
	}
	root, err := git("rev-parse", "--show-toplevel")
	if err != nil {
		return nil, err
	}
	const files = `{{with .Module}}{{if .Main}}{{$.Dir}}/.{{range $.EmbedFiles}} {{$.Dir}}/{{.}}{{end}}{{end}}{{end}}`
	out, err := exec.Command("go", append([]string{"list", "-deps", "-test", "-tags", tags, "-f", files}, packages...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages of %q: %w", command, err)
	}
	folders := map[string]bool{}
	for _, file := range strings.Fields(string(out)) {
		folders[strings.TrimPrefix(path.Dir(file), root+"/")] = true
	}
	for _, s := range scripts {
		folders[s] = true
	}
	return folders, nil
}

// product counts the files that lie in folders and are not tests. go.mod is part of everything.
func product(files []string, folders map[string]bool) (n int) {
	for _, file := range files {
		if file == "go.mod" || folders[path.Dir(file)] && !strings.HasSuffix(file, "_test.go") {
			n++
		}
	}
	return n
}

// changedSince counts the files of the product that the command of a proof runs and that differ between a commit and HEAD.
func changedSince(commit, command string) (int, error) {
	changed, err := git("diff", "--name-only", commit, "HEAD")
	if err != nil {
		return 0, fmt.Errorf("its commit %s is unknown", commit)
	}
	folders, err := foldersOf(command)
	if err != nil {
		return 0, err
	}
	return product(strings.Fields(changed), folders), nil
}

func listStale(proofs []proof, results map[string]result) error {
	bad := 0
	for _, p := range proofs {
		r, ok := results[p.name]
		why := ""
		switch {
		case !ok || r.commit == "-":
			why = "never run"
		case !strings.HasPrefix(r.outcome, "green"):
			why = r.outcome
		default:
			n, err := changedSince(r.commit, p.full)
			if err != nil {
				why = err.Error()
			} else if n > 0 {
				why = fmt.Sprintf("stale: %d files of what it runs changed since %s", n, r.commit)
			}
		}
		if why != "" {
			bad++
			fmt.Printf("%s: %s\n", p.name, why)
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d proofs do not stand", bad, len(proofs))
	}
	return nil
}

func git(args ...string) (string, error) {
	out, err := exec.Command("git", args...).Output()
	return strings.TrimSpace(string(out)), err
}
