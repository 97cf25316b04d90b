# Needs Go; what else a target needs, it installs (Debian, Ubuntu) or names. `make help` lists the targets.

GO       ?= go
TAGS     ?= poll_opt
FUZZTIME ?= 20s
COUNT    ?= 3
SEED     ?=
ONLY     ?=
DIR      ?= codec/legacy/testdata/transcripts
ARGS     ?=
SUITES   ?=

# What is measured is not what it was measured with: results do not make a release dirty.
RELEASE := $(shell git describe --tags --always 2>/dev/null)$(shell git diff --quiet HEAD -- . ':!bench/results' ':!BENCHMARKS.md' 2>/dev/null || echo -dirty)
BUILD   := -trimpath -tags $(TAGS) -ldflags '-X main.release=$(RELEASE)'
# gnet's poller under poll_opt keeps a pointer in a kernel structure that is not aligned for it: the pointer check that comes with -race is off for gnet alone.
comma   := ,
RACE    := -race -tags $(TAGS) -gcflags=github.com/panjf2000/gnet/v2/...=-d=checkptr=0
LINT    := $(GO) tool -modfile=.ci/tools/go.mod golangci-lint

.DEFAULT_GOAL := help
.PHONY: help run build test check fuzz stress abuse powercut crash powercut-ext4 replay expiry test-python adapters conformance generate docs wheel static bench-python bench-adapters bench-flask bench peers bench-compare bench-hits bench-report pgo transcripts fmt python cgo

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build and run the server; ARGS="-p 9981" passes flags
	@./bin/cyberdb-fast $(ARGS)

build: ## leave cyberdb-fast and cyberdb-bench in bin/
	$(GO) build $(BUILD) -o bin/ ./cmd/...

test: python build ## run all tests
	$(GO) test -tags $(TAGS) ./...
	$(GO) test -tags $(TAGS) -short ./loop ./client -encrypted
	$(GO) test -tags $(TAGS),broken -run='^(TestCheckerCatches|TestListViewCheckerFindsFaults|TestHistoriesCatch|TestLocksCatch|TestQueuesCatch)$$' ./shardmap ./loop
	@.ci/python test

test-python: build ## run the Python client's tests, on every Python that is here; OTHERS=few: the oldest and the newest CPython, OTHERS=no: python3 alone
	@.ci/python test

adapters: build ## run the tests of the frameworks for which the Python client has adapters, from PyPI, against a server; SUITES="cachelib ours"
	@.ci/adapters $(SUITES)

conformance: build ## N (1000000) random operations on Python's dicts and lists and on tables: no difference
	@.ci/python conformance $(or $(N),1000000)

generate: ## make what is made from the command table, the golden session and the Python client's methods.py
	$(GO) test -tags $(TAGS) -count=1 -run='^TestPythonOpcodes$$' ./loop/engine -update
	$(GO) test -tags $(TAGS) -count=1 -run='^TestGoldenFrames$$' ./loop -update
	@.ci/python generate

docs: ## build the documentation site in dist/site, whose start is index.html
	@.ci/docs

wheel: static ## leave a Python wheel with client and server in dist/
	@.ci/python wheel

static:
	CGO_ENABLED=0 $(GO) build $(BUILD) -o bin/ ./cmd/cyberdb-fast

check: python cgo build ## what must hold before a merge: format, go.mod, vet, lint, race tests, nothing left behind
	@GO="$(GO)" TAGS="$(TAGS)" RACE="$(RACE)" LINT="$(LINT)" .ci/check

fuzz: ## run each fuzz target for FUZZTIME (20s)
	@GO="$(GO)" .ci/fuzz $(FUZZTIME)

stress: python cgo ## check 10,000 views under writers, then run the concurrent rooms' tests COUNT (3) times, shuffled, on 1, 2 and 8 threads, all under the race detector
	CYBERDB_VIEWS=10000 $(GO) test $(RACE) -count=1 -v -timeout=30m -run='^TestViewsUnderWriters$$' ./shardmap
	$(GO) test $(RACE) -shuffle=on -count=$(COUNT) -cpu=1,2,8 -timeout=60m ./shardmap/... ./loop/... ./client/...

abuse: build ## abuse a server in all ways there are and watch it serve on; SEED=7 ONLY=deaf repeats a scenario
	$(GO) build -tags $(TAGS) -o bin/ ./bench/abuse
	@./bin/abuse $(if $(SEED),-seed $(SEED)) $(if $(ONLY),-only $(ONLY))

crash: build ## kill a server, or end it in order, N (2000) times under load and look for what it acknowledged; SEED=1 repeats the choices, BREAK=1 and FAULT=release, fence, ack, lease or due must fail
	$(GO) build -tags $(TAGS) -o bin/ ./bench/crash
	$(if $(FAULT),$(GO) build -tags $(TAGS)$(comma)broken -o bin/cyberdb-fast-broken ./cmd/cyberdb-fast)
	@./bin/crash -cycles $(or $(N),2000) $(if $(SEED),-seed $(SEED)) $(if $(BREAK),-break) $(if $(FAULT),-fault $(FAULT) -server bin/cyberdb-fast-broken)

powercut-ext4: build ## cut the power of a real file system N (200) times under load; needs root and loop devices; SEED=1, BREAK=1 as for crash
	$(GO) build -tags $(TAGS) -o bin/ ./bench/crash
	@./bin/crash -ext4 -cycles $(or $(N),200) $(if $(SEED),-seed $(SEED)) $(if $(BREAK),-break)

powercut: ## cut the power of simulated disks N (100000) times and look for what was acknowledged; SEED=1 repeats a run, BREAK=1 must fail
	@GO="$(GO)" .ci/campaign powercut ./persist '^TestPowerCut$$' -states=$(or $(N),100000) $(if $(SEED),-seed=$(SEED)) $(if $(BREAK),-break)

replay: python ## record N (10000) random histories and replay them in other processes: no difference; SEED=1 repeats a run
	@GO="$(GO)" TAGS="$(TAGS)" .ci/campaign replay ./loop '^TestHistories$$' -histories=$(or $(N),10000) $(if $(SEED),-seed=$(SEED))

expiry: python ## N (1000000) random operations on dicts whose entries expire, the clock jumps, the server is killed and restarted: no difference from the model; SEED=1 repeats a run
	@GO="$(GO)" TAGS="$(TAGS)" .ci/campaign expiry ./loop '^TestExpiry$$' -operations=$(or $(N),1000000) $(if $(SEED),-seed=$(SEED))

bench: build ## the micro benchmarks, then the load generator against its own server
	$(GO) test -tags $(TAGS) -run='^$$' -bench=. -benchmem ./...
	@.ci/bench

bench-python: build ## measure the Python client, the original's and redis-py into bench/results; ARGS="--seconds 2 --rounds 7"
	@.ci/python bench $(ARGS)

bench-adapters: build ## measure the caches beside the Redis backends of their frameworks into bench/results; ARGS="--rounds 9"
	@.ci/adapters-bench $(ARGS)

bench-flask: build ## measure Flask under gunicorn with each database into bench/results; ARGS="--rounds 9"
	@.ci/flask $(ARGS)

peers: ## install what bench-compare measures apart from cyberdb-fast: redis-server, memcached, the original CyberDB
	@.ci/peers >/dev/null

bench-compare: build ## measure with the peers into bench/results; REPEAT=5 D=2s ONLY="throughput lists" ENTRIES=1000000
	@GO="$(GO)" RELEASE="$(RELEASE)" .ci/peers-compare

bench-hits: build ## measure hit ratios beside Redis and memcached into bench/results/HITS.json; takes half an hour
	@.ci/peers-hits $(ARGS)

bench-report: build ## make BENCHMARKS.md's summaries, bench/results/README.md, the charts and report.html from bench/results
	./bin/cyberdb-bench report --markdown BENCHMARKS.md --tables bench/results/README.md --html bench/results/report.html bench/results/*.jsonl

pgo: build ## make cmd/cyberdb-fast/default.pgo anew, the profile that the server is compiled by
	@GO="$(GO)" TAGS="$(TAGS)" .ci/pgo

transcripts: ## replay recorded conversations of CyberDB's clients against this server; DIR=... is a folder of such
	@$(GO) run -tags $(TAGS) ./bench/transcripts $(DIR)

fmt: ## format the code
	$(LINT) fmt
	@.ci/python fmt

python: # CPython is the oracle of the tests, the original CyberDB that of its wire
	@.ci/need python3
	@.ci/need openssl
	@.ci/need curl
	@.ci/need groff
	@.ci/original >/dev/null

cgo: # the race detector needs a C compiler
	@.ci/need gcc
