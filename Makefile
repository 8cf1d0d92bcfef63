# The commands of this repository. `make help` lists them.

SHELL       := /bin/sh
.SHELLFLAGS := -eu -c
export PATH := $(CURDIR)/.ci/node_modules/.bin:$(PATH):/usr/local/go/bin:/usr/sbin

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)

# All Go commands use the same flags, so that each package is compiled once, and for
# make test-all once more with the race detector. nomsgpack leaves out an encoding of Gin
# that nothing here uses (6.5 MB). The commit comes from COMMIT, not from version control.
export GOFLAGS := $(sort $(GOFLAGS) -buildvcs=false -tags=nomsgpack -trimpath)
export CGO_ENABLED := 0

LINK := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# SQLite is C that was translated to Go, with locks of its own: the race detector finds
# nothing in it and makes it ten times slower. SQLite instantiates no generic code that
# other packages share, so it can be left out.
RACE := -race -gcflags=modernc.org/sqlite/lib=-race=false

# Tests of several packages start the program. They use these builds instead of building
# it themselves. The linker also writes which symbol needs which (-dumpdep).
BINARIES := .ci/bin
export TALLYCAST_TEST_BINARIES := $(CURDIR)/$(BINARIES)

# A headline for each step of a log.
step = printf '\n\033[1m==> %s\033[0m\n'
sub  = $(MAKE) --no-print-directory

.PHONY: build check test test-all tools install binaries race-binary $(BINARIES)/tallycast lint vet staticcheck types test-go test-units \
	test-processes test-race test-long test-web test-web-alone test-engines test-frameworks test-platforms bench-tools \
	test-bench test-peers litestream-binaries hosting-tools test-hosting dist test-dist generate fmt run clean help
.DEFAULT_GOAL := build

build: ## Build ./tallycast, one static binary.
	go build -ldflags "$(LINK)" -o tallycast ./cmd/tallycast

check: lint types ## Check format, vet, staticcheck and types; run the unit tests, SQLite and one Redis. Under 2 minutes.
	go test -vet=off -skip '$(NOT_IN_CHECK)' $(UNITS)

test: ## Install what the tests need; run all contracts on every store, and the web tests in Chromium.
	@$(step) 'tools, vet' && $(sub) -j2 install vet
	@$(step) 'Go, web' && $(sub) -j3 --output-sync=target test-processes test-web test-units staticcheck test-bench
	@$(step) 'web, alone' && $(sub) test-web-alone
	@$(step) 'all passed'

test-all: test ## Run everything else: the race detector, all browsers, site generators, every platform, long tests.
	@$(step) race       && $(sub) test-race
	@$(step) long       && $(sub) test-long
	@$(step) engines    && $(sub) test-engines
	@$(step) frameworks && $(sub) test-frameworks
	@$(step) peers      && $(sub) test-peers
	@$(step) hosting    && $(sub) test-hosting
	@$(step) dist       && $(sub) test-dist
	@$(step) platforms  && $(sub) test-platforms
	@$(step) 'all passed'

PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 freebsd/amd64 freebsd/arm64

test-platforms: ## Build for every supported system. Windows must fail with a message that says so.
	@for platform in $(PLATFORMS); do echo "$$platform"; \
	GOOS=$${platform%/*} GOARCH=$${platform#*/} go build -ldflags "$(LINK)" -o /dev/null ./cmd/tallycast; done
	@echo windows/amd64; if message=$$(GOOS=windows GOARCH=amd64 go build -o /dev/null ./internal/tally 2>&1); then exit 1; fi; \
	echo "$$message" | grep 'runs on Linux, macOS and FreeBSD'

tools: ## Install the missing programs that the tests run.
	@.ci/tools

install: tools
	@$(sub) web/node_modules/.package-lock.json

binaries: $(BINARIES)/tallycast ## Build the program for the tests, as released.

race-binary: ## Build the program with the race detector, for tests that have it.
	@mkdir -p $(BINARIES)
	CGO_ENABLED=1 go build $(RACE) -o $(BINARIES)/tallycast-race ./cmd/tallycast

# The linker does not run, and writes nothing, if the binary is up to date.
$(BINARIES)/tallycast:
	@mkdir -p $(BINARIES); [ -e $(BINARIES)/dependencies ] || rm -f $@
	@go build -ldflags "-dumpdep $(LINK)" -o $@ ./cmd/tallycast 2>$(BINARIES)/new || { tail -n 20 $(BINARIES)/new; exit 1; }
	@[ ! -s $(BINARIES)/new ] || mv $(BINARIES)/new $(BINARIES)/dependencies

lint: vet staticcheck ## Check format, vet and staticcheck.

vet: ## Check format and vet.
	@unformatted=$$(find . -name node_modules -prune -o -name '*.go' -print | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; fi
	go vet ./...

# In make test it runs beside tests that wait, and leaves the CPU to them.
staticcheck: ## Run staticcheck.
	nice go tool staticcheck ./...

types: web/node_modules/.package-lock.json ## Check the types of the elements.
	npm --prefix web run check

# Packages that start several processes for each test. Those that measure latency run one after
# the other, beside the unit tests and the web tests. deploy runs among the unit tests.
LATENCY   := ./internal/testkit/checker ./internal/testkit/e2e
PROCESSES := ./deploy $(LATENCY)
# Packages whose work is concurrency and whose dependencies are few.
CONCURRENT := ./internal/connlimit ./internal/hub ./internal/presence ./internal/tally
UNITS       = $$(go list ./... | grep -vxF "$$(go list $(PROCESSES))")
OTHER_UNITS = $$(go list ./... | grep -vxF "$$(go list $(PROCESSES) $(CONCURRENT))")

# Tests of stores of several Redis processes: make check leaves them to make test.
# The size of the binary, too.
NOT_IN_CHECK := Cluster|Sentinel|SlotMigration|WrongMode|ByTopicIsComplete|Replica|TestBinary

# The race detector needs a second compilation of every package, and its tests use two to
# four times as much CPU. So make test uses it for few packages, and make test-all for all.
TEST      := go test -vet=off -shuffle=on -timeout 12m
RACE_TEST := CGO_ENABLED=1 $(TEST) $(RACE)

test-go: test-units test-processes ## Run the Go tests, few of them with the race detector.

test-units: binaries
	$(RACE_TEST) $(CONCURRENT)
	$(TEST) ./deploy $(OTHER_UNITS)

test-processes: binaries
	$(TEST) -p 1 $(LATENCY)

# test-long runs the tests of PROCESSES with the race detector.
test-race: binaries race-binary ## Run the unit tests with the race detector.
	$(RACE_TEST) $(UNITS)

# Schedules of faults and property tests run longer, timeouts have their real lengths.
test-long: binaries race-binary web/node_modules/.package-lock.json ## Run the tests that have a long form, in that form.
	TALLYCAST_TEST_LONG=1 $(RACE_TEST) -p 1 -timeout 30m $(PROCESSES) ./internal/redisstore
	OUTAGE_SECONDS=30 node web/test/run.js region.test.js
	$(RACE_TEST) -run Merge ./internal/owner -merge-time=2m
	$(RACE_TEST) ./internal/hub ./internal/tally -rapid.checks=5000

test-web: web/node_modules/.package-lock.json binaries ## Test the elements in Chromium; a smoke test in Firefox and WebKit.
	npm --prefix web run check
	node web/test/run.js shared

test-web-alone: web/node_modules/.package-lock.json binaries ## Run the web tests that measure time.
	node web/test/run.js alone

test-frameworks: ## Compare the keys of seeds with the pages that Astro and Next.js build.
	go test -tags nomsgpack,frameworks -timeout 30m -run 'Astro|Next' ./internal/seed

test-engines: web/node_modules/.package-lock.json binaries ## Run the main browser tests in Firefox and WebKit.
	npm --prefix web run test:engines

# npm writes this file when it has installed what the lock file says.
web/node_modules/.package-lock.json: web/package-lock.json web/package.json
	npm --prefix web ci --no-audit --no-fund
	@touch $@

bench-tools: ## Install the missing servers that the bench compares with.
	@bench/tools

test-bench: binaries ## Check the bench, a module of its own, without the servers that it compares with.
	go vet -C bench ./...
	go test -C bench -vet=off -timeout 5m -skip TestPeers_ ./...

test-peers: bench-tools ## Start each server that the bench compares with.
	go test -C bench -vet=off -timeout 5m -run TestPeers_ ./peer

# Litestream and entrypoint for the image of deploy/litestream, a module of its own.
INTO ?= $(CURDIR)/$(BINARIES)/hosting

litestream-binaries: ## Build Litestream and the entrypoint of its image into INTO.
	@mkdir -p $(INTO)
	go build -C deploy/litestream -ldflags '-s -w' -o $(INTO)/ ./entrypoint github.com/benbjohnson/litestream/cmd/litestream

hosting-tools: litestream-binaries ## Build what the tests of hosting run: Litestream, its entrypoint, an S3 server.
	go build -C deploy/litestream -ldflags '-s -w' -o $(INTO)/ github.com/johannesboyne/gofakes3/cmd/gofakes3

test-hosting: race-binary hosting-tools ## Lose the disk of a container and restore it with Litestream.
	go vet -C deploy/litestream ./...
	go test -C deploy/litestream -vet=off ./...
	CGO_ENABLED=1 go test -vet=off $(RACE) -tags nomsgpack,hosting -timeout 12m -run Litestream ./deploy

RELEASED := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
# Archives have the time of the commit, and no owner: the same commit, version and Go
# release give the same bytes. GNU tar.
ARCHIVE := tar --sort=name --mtime=@$$(git log -1 --format=%ct) --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --format=ustar

dist: ## Build archives for Linux and macOS, the npm package, and their checksums into dist/.
	@rm -rf dist && mkdir -p dist/empty
	@for platform in $(RELEASED); do target=$${platform%/*}_$${platform#*/}; echo "$$target"; \
	GOOS=$${platform%/*} GOARCH=$${platform#*/} go build -ldflags "$(LINK)" -o dist/$$target/tallycast ./cmd/tallycast; \
	cp LICENSE README.md dist/$$target/; \
	$(ARCHIVE) --transform "s,^\.,tallycast_$(VERSION)_$$target," -C dist/$$target -cf dist/archive.tar .; \
	gzip -9n <dist/archive.tar >dist/tallycast_$(VERSION)_$$target.tar.gz; done; rm dist/archive.tar
	npm pack --silent --pack-destination dist ./web
	@cd dist && sha256sum *.tar.gz *.tgz | tee SHA256SUMS

test-dist: dist ## Build dist/ twice, compare, and try its archive and its package on this system.
	@mkdir -p $(BINARIES) && cp dist/SHA256SUMS $(BINARIES)/SHA256SUMS && $(sub) dist >/dev/null && cmp dist/SHA256SUMS $(BINARIES)/SHA256SUMS
	go test -vet=off -tags nomsgpack,dist -run Dist ./deploy

generate: web/node_modules/.package-lock.json ## Bundle the elements and write their types again.
	go generate ./web
	rm -rf web/types
	npm --prefix web run types

fmt: ## Format the Go code.
	find . -name node_modules -prune -o -name '*.go' -print | xargs gofmt -w

run: build ## Build and serve from data/tallycast.db.
	./tallycast

clean: ## Remove what was built and installed here. Counts in data/ stay.
	rm -rf tallycast dist .ci/bin .ci/node_modules web/node_modules web/test-results

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
