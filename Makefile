# Two commands do all the set-up: `make run` and `make test`.
SHELL       := /bin/bash
.SHELLFLAGS := -o pipefail -c
GO     ?= go
BIN    := bin/samedoor
# npm packages that tests meet: servers for the doctor, peers for our own server
NODE   := internal/doctor/testdata/node socketio/testdata/node
PEERS  := $(NODE:%=%/node_modules/socket.io/package.json)
CLIENT := web/node_modules/socket.io-client/dist/socket.io.esm.min.js
FLAGS  ?=

# gin's msgpack is not used here and costs a fifth of a cold build
export PATH := $(PATH):/usr/sbin
export NODE_SOCKETIO := $(CURDIR)/socketio/testdata/node/node_modules
export GOFLAGS := $(GOFLAGS) -tags=nomsgpack -buildvcs=false

.PHONY: help run build assets tools test e2e screenshots fuzz soak bench lint clean

help:
	@sed -n 's/^## /  make /p' Makefile

## run: build and start with embedded defaults; FLAGS="--strategy none" passes flags
run: build
	@$(BIN) serve $(FLAGS)

## build: the one binary, with the Socket.IO client from npm inside
build: $(CLIENT)
	@$(GO) build -o $(BIN) ./cmd/samedoor

## assets: fetch the npm packages of the page
assets: $(CLIENT)
$(CLIENT): web/package.json web/package-lock.json
	@command -v npm >/dev/null || { echo "npm is needed (Debian: apt-get install nodejs npm)" >&2; exit 1; }
	npm ci --prefix web --no-audit --no-fund --loglevel=error
	@touch $@

## tools: install what the tests need: nginx, redis-server, haproxy, apache2, caddy, a headless Chromium, the Playwright driver
tools: $(PEERS)
	@./e2e/setup.sh

# setup.sh brings npm where there is none
%/node_modules/socket.io/package.json: %/package.json %/package-lock.json
	@command -v npm >/dev/null || ./e2e/setup.sh
	npm ci --prefix $* --no-audit --no-fund --loglevel=error
	@touch $@

## test: everything, as CI runs it
test: tools
	@$(MAKE) --no-print-directory lint build
	node --test --test-reporter=dot web/test/
	E2E_REQUIRED=1 $(GO) test -race -p 3 -timeout 9m $$($(GO) list ./... | grep -v /e2e) # clusters of processes: they wait more than they work
	E2E_REQUIRED=1 $(GO) test -count=1 -v -parallel 3 -timeout 8m ./e2e ./e2e/clients | grep -vE '^(=== |PASS$$)' # strategy by strategy

## e2e: the browser tests alone
e2e: tools
	@$(MAKE) --no-print-directory build
	E2E_REQUIRED=1 $(GO) test -count=1 -v -timeout 8m ./e2e ./e2e/clients

## screenshots: the README's pictures, taken anew from real runs
screenshots: tools
	@$(MAKE) --no-print-directory build
	PICTURES=$(CURDIR)/docs E2E_REQUIRED=1 $(GO) test -count=1 -run '^TestPictures$$' ./e2e
	pngquant --force --strip --speed 1 --ext .png docs/none.png docs/compare.png
	@big=$$(find docs -name '*.png' -size +150k); test -z "$$big" || { echo "larger than 150 KB: $$big" >&2; exit 1; }

## fuzz: every fuzz test, 20 s each
fuzz: $(CLIENT)
	@for f in $$(grep -rhoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sort -u | cut -c6-); do \
	  for d in $$(grep -rlE --include='*_test.go' "^func $$f\(" . | xargs -n1 dirname | sort -u); do \
	    echo "$$d $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime 20s $$d || exit 1; done; done

## soak: what takes longer
soak: tools
	@$(MAKE) --no-print-directory build
	SOAK=1 E2E_REQUIRED=1 $(GO) test -count=1 -v -timeout 60m ./e2e/clients ./internal/doctor
	SOAK=1 E2E_REQUIRED=1 $(GO) test -count=1 -v -timeout 30m -run Soak ./socketio/...

## lint: gofmt, go vet, staticcheck
lint: $(CLIENT)
	@bad=$$(gofmt -l $$($(GO) list -f '{{.Dir}}' ./...)); test -z "$$bad" || { echo "$$bad"; echo "run gofmt -w on these" >&2; exit 1; }
	@$(GO) vet ./...
	@$(GO) tool staticcheck ./...

## bench: benchmarks
bench: build $(PEERS)
	$(GO) test -run '^$$' -bench . -benchmem ./...

clean:
	rm -rf bin web/node_modules $(NODE:%=%/node_modules) e2e/artifacts
