# What people and continuous integration run. `make help` lists the targets.

SHELL       := /bin/sh
.SHELLFLAGS := -eu -c
export PATH := $(CURDIR)/.ci/node_modules/.bin:$(PATH):/usr/local/go/bin:/usr/sbin

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)

# The linker is told the commit; asking version control once more would only fail
# where somebody else owns the checkout.
export GOFLAGS ?= -buildvcs=false

# nomsgpack leaves out an encoding of Gin's that nothing here speaks: 6.5 MB.
BUILD := -tags nomsgpack -trimpath -ldflags "-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)"

# A header a step, so that a log can be read.
step = printf '\n\033[1m==> %s\033[0m\n'

.PHONY: build test test-all test-platforms tools lint test-go test-web test-engines test-frameworks bench-tools test-bench generate fmt run clean help
.DEFAULT_GOAL := build

build: ## Build ./tallycast, one static binary.
	CGO_ENABLED=0 go build $(BUILD) -o tallycast ./cmd/tallycast

test: ## Install what the tests lack, then check and test everything.
	@$(step) 'tools'      && $(MAKE) --no-print-directory tools
	@$(step) 'lint'       && $(MAKE) --no-print-directory lint
	@$(step) 'go test'    && $(MAKE) --no-print-directory test-go
	@$(step) 'web'        && $(MAKE) --no-print-directory test-web
	@$(step) 'bench'      && $(MAKE) --no-print-directory test-bench
	@$(step) 'all passed'

test-all: test ## Run what takes longer, too: sites built with Astro and Next.js, builds for every system, Firefox and WebKit.
	@$(step) 'frameworks' && $(MAKE) --no-print-directory test-frameworks
	@$(step) 'engines'    && $(MAKE) --no-print-directory test-engines
	@$(step) 'platforms'  && $(MAKE) --no-print-directory test-platforms
	@$(step) 'all passed'

PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 freebsd/amd64 freebsd/arm64

test-platforms: ## Build for every supported system; Windows must end with a message that says so.
	@for platform in $(PLATFORMS); do echo "$$platform"; \
	CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/} go build $(BUILD) -o /dev/null ./cmd/tallycast; done
	@echo windows/amd64; if message=$$(GOOS=windows GOARCH=amd64 go build -o /dev/null ./internal/tally 2>&1); then exit 1; fi; \
	echo "$$message" | grep 'runs on Linux, macOS and FreeBSD'

tools: ## Install the programs that the tests run and that are missing.
	@.ci/tools

lint: ## Check format, vet and staticcheck.
	@unformatted=$$(find . -name node_modules -prune -o -name '*.go' -print | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...

# SQLite is C that was translated to Go, with locks of its own: the race detector finds
# nothing in it and makes it ten times slower. All other code is looked at. That package
# can be left out since it instantiates no generic code: what it did would be shared.
# Vet has seen the tests before.
GO_TEST := go test -vet=off -race -gcflags='modernc.org/sqlite/lib=-race=false' -shuffle=on -timeout 12m

# Tests of whole topologies keep every core busy. Beside another package they would
# measure that one.
TOPOLOGIES := ./internal/testkit/checker ./internal/testkit/e2e

test-go: ## Run the Go tests with the race detector.
	$(GO_TEST) $$(go list ./... | grep -vxF "$$(go list $(TOPOLOGIES))")
	$(GO_TEST) -p 1 $(TOPOLOGIES)

test-web: web/node_modules/.package-lock.json ## Check the types of the widgets and run them in Chromium; a smoke test in Firefox and WebKit.
	npm --prefix web test

test-frameworks: ## Compare the keys of seeds with the pages that Astro and Next.js build.
	go test -tags frameworks -timeout 30m -run 'Astro|Next' ./internal/seed

test-engines: web/node_modules/.package-lock.json ## Run the main browser tests in Firefox and WebKit.
	npm --prefix web run test:engines

# npm writes this file when it has installed what the lock file says.
web/node_modules/.package-lock.json: web/package-lock.json web/package.json
	npm --prefix web ci --no-audit --no-fund
	@touch $@

bench-tools: ## Install the peers that the bench measures and that are missing.
	@bench/tools

test-bench: bench-tools ## Check the bench, a module of its own.
	go vet -C bench ./...
	go test -C bench -timeout 5m ./...

generate: web/node_modules/.package-lock.json ## Bundle the widgets and write their types again.
	go generate ./web
	rm -rf web/types
	npm --prefix web run types

fmt: ## Format the Go code.
	find . -name node_modules -prune -o -name '*.go' -print | xargs gofmt -w

run: build ## Build and serve from data/tallycast.db.
	./tallycast

clean: ## Remove what was built and installed here. Counts in data/ stay.
	rm -rf tallycast .ci/node_modules web/node_modules web/test-results

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
