# Each target is one line you could type yourself. CI runs .ci/run.

GO   ?= go
TIME ?= 1m
RACE := ./identity ./crdt/store ./crdt/blob ./crdt/feed ./crdt/space ./net/... ./fs/vfs ./kube/... ./cmd/daemon ./cmd/localapi

.PHONY: build test race bench editors watchers life fuzz lint demo plug fsx storm posix simulate clean

build: ## the binary, in bin/
	$(GO) build -o bin/ ./cmd/echofs

test: ## all tests
	$(GO) test -timeout 20m ./...

race: ## the packages that have goroutines, under the race detector
	$(GO) test -race -timeout 20m $(RACE)

bench: ## what we aim at, beside the rivals in the same run; then the benchmarks of each package
	$(GO) test -run '^$$' -bench '^BenchmarkAims$$' -benchtime 1x -timeout 30m ./integration
	$(GO) test -run '^$$' -bench . -benchtime 100ms -timeout 30m $(filter-out %/integration,$(shell $(GO) list ./...))

editors: ## the matrix of editors and tools, written to docs/editors.md
	$(GO) test -count=1 -timeout 10m -run '^TestEditorMatrix$$' ./integration -update

watchers: ## the matrix of programs that watch, written to docs/watchers.md
	$(GO) test -count=1 -timeout 10m -v -run '^TestWatcherMatrix$$' ./integration -update

life: ## vim and VS Code's sequence save one file on two devices at random for five minutes
	$(GO) test -count=1 -timeout 15m -v -run '^TestLife$$' ./integration -life 5m -seed 0

fuzz: ## every fuzz target for TIME (1m, or 2000x for a number of inputs)
	./.ci/fuzz $(TIME)

lint: ## format, vet, staticcheck
	./.ci/lint

demo: build ## two daemons, one space, one app; until Ctrl-C
	@./integration/demo/run bin/echofs

plug: ## kill -9 at random moments during a large copy, fifty times
	PLUG=50 $(GO) test -count=1 -timeout 60m -v -run '^TestPlug' ./integration

fsx: ## 100,000 random operations on a file in a mount, against a model; and 5,000 saves of one text on each of two devices
	FSX=100000 $(GO) test -count=1 -timeout 60m -v -run '^TestFsx' ./fs/fusefs

storm: ## thousands of changes of one folder on two devices at once, twenty times, and hundreds of short bursts
	$(GO) test -count=20 -timeout 60m -v -run '^TestLiveStorm$$' ./fs/fusefs
	STORM=1 $(GO) test -count=1 -timeout 60m -v -run '^TestLiveBursts$$' ./fs/fusefs

posix: ## pjdfstest on a fresh mount, as root; PJDFSTEST is a folder with a built copy
	PJDFSTEST=$(abspath $(PJDFSTEST)) $(GO) test -count=1 -timeout 60m -v -run '^TestPjdfstest$$' ./fs/fusefs

simulate: ## members and entries in random scenarios until Ctrl-C, from SEED; or SCENARIOS=200000 of them
	$(GO) test -count=1 -timeout 0 -v -run '^TestSimulation$$' ./identity/membership -sim.seed $(or $(SEED),$(shell date +%s)000000) $(if $(SCENARIOS),-scenarios $(SCENARIOS),-simulate 87600h)

clean: ## what the targets above leave behind
	rm -rf bin && $(GO) clean -testcache -fuzzcache
