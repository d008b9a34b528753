# Contender's one entrance for people and machines. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
GO ?= go
DATA ?= ./data
PORT ?= 9000
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GOFLAGS_BUILD := -trimpath -ldflags "-s -w -X main.version=$(VERSION)"
TOOL := $(GO) tool -modfile=tools/go.mod
export CGO_ENABLED ?= 1

.PHONY: help build run cluster test lint unit clients bones nodes partitions clockfile crash-kill prove mutants fuzz sim bench generate clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## build bin/contender (needs Go only)
	CGO_ENABLED=0 $(GO) build $(GOFLAGS_BUILD) -o bin/contender ./cmd/contender

run: build ## found (once) and run a server on four folders under DATA=./data, S3 on PORT=9000, console on PORT+1
	@exec ./bin/contender server --init --listen 127.0.0.1:$(PORT) \
		--console 127.0.0.1:$$(( $(PORT) + 1 )) --peer 127.0.0.1:$$(( $(PORT) + 2 )) \
		$(DATA)/disk1 $(DATA)/disk2 $(DATA)/disk3 $(DATA)/disk4

cluster: build ## run a cluster of NODES=5 nodes on this machine (contender demo), data under DATA=./data-cluster, S3 on PORT=9000, 9010, ...
	@exec ./bin/contender demo --nodes $(or $(NODES),5) --port $(PORT) --dir $(if $(filter-out undefined default file,$(origin DATA)),$(DATA),./data-cluster)

test: ## everything that must be green: installs what it needs, lint, race tests, mutants, real clients, promises of one node and of several, partitions, kill loop
	./conformance/install-clients
	$(MAKE) lint
	$(MAKE) unit
	$(MAKE) mutants
	$(MAKE) clients
	$(MAKE) bones
	$(MAKE) nodes
	@if unshare -n sh -c 'ip link add v0 type veth peer name v1 && nft add table inet probe' && unshare -T --boottime 1 --fork true; then \
		$(MAKE) partitions; else echo "NOT RUN: make partitions. This machine allows no network or time namespaces"; fi
	$(MAKE) crash-kill

lint: ## vet, staticcheck, gofumpt, who may import whom
	$(GO) vet -tags clients,crash,bones,nodes,partitions ./...
	$(TOOL) staticcheck -tags clients,crash,bones,nodes,partitions ./...
	@out=$$($(TOOL) gofumpt -l $$(git ls-files '*.go' | grep -v '\.pb\.go$$')); if [ -n "$$out" ]; then echo "not gofumpt-formatted:"; echo "$$out"; exit 1; fi
	$(GO) test -run TestLayout .

# The packages whose tests make a fifth of their seeded repetitions under the race detector. They run without it as well, in
# full and with Pebble's own checks, which that detector brings along.
SEEDED = $$(grep -rlE '\<(Seeds|Stride)\(' --include='*_test.go' . | xargs -n1 dirname | sort -u)

unit: ## race tests of all packages, and the seeded ones in full without the race detector
	$(TOOL) gotestsum --format pkgname -- -race -timeout 15m ./...
	$(TOOL) gotestsum --format pkgname -- -tags invariants -timeout 15m $(SEEDED)

mutants: ## named broken builds, each of which must be caught by its named test
	./conformance/mutants/run

clients: build ## the clients' tree with aws-cli, rclone, restic and the Go SDK on a real server
	$(GO) test -count=1 -timeout 15m -tags clients ./conformance/clients/...

bones: build ## one node's promises on real servers: emptied folder, files, one winner, LIST's cost, memory, draining
	$(GO) test -count=1 -timeout 15m -tags bones ./conformance/bones/...

nodes: build ## several nodes' promises on real servers: any two die, kill loop, one winner, strangers, slow peers
	$(GO) test -count=1 -timeout 15m -tags nodes ./conformance/nodes/...

partitions: clockfile ## histories of nodes in cut networks, paused, killed and on stepping clocks, judged by Porcupine (SEED= repeats a run's faults)
	$(GO) test -count=1 -timeout 15m -tags partitions ./conformance/partitions/...

clockfile: # bin/contender-clockfile: a server for tests whose wall clock is read through a file
	CGO_ENABLED=0 $(GO) build $(GOFLAGS_BUILD) -tags clockfile -o bin/contender-clockfile ./cmd/contender

crash-kill: build ## kill -9 rounds on a real server (5; ROUNDS= overrides)
	$(GO) test -count=1 -timeout 15m -tags crash ./conformance/crash/...

prove: build clockfile ## every "Shown by" sentence at full size; writes its results for docs/proofs.md
	$(GO) run ./conformance/prove $(PROOFS)

fuzz: ## run every fuzz target for FUZZTIME=30s
	./conformance/fuzz $(or $(FUZZTIME),30s)

sim: ## the deterministic simulation over many seeds (SEEDS=2000)
	CONTENDER_SIM_SEEDS=$(or $(SEEDS),2000) $(GO) test -count=1 -timeout 60m ./metashards/simtest/...

bench: ## Go benchmarks of the hot paths
	$(GO) test -run '^$$' -bench . -benchmem ./...

generate: ## regenerate the protocol buffers (needs protoc)
	@mkdir -p .tools && $(GO) build -modfile=tools/go.mod -o .tools/ google.golang.org/protobuf/cmd/protoc-gen-go github.com/planetscale/vtprotobuf/cmd/protoc-gen-go-vtproto
	PATH="$$PWD/.tools:$$PATH" protoc --go_out=. --go_opt=paths=source_relative --go-vtproto_out=. \
		--go-vtproto_opt=paths=source_relative,features=marshal+unmarshal+size+clone metashards/metapb/meta.proto

clean: ## remove what was built
	rm -rf bin .tools
