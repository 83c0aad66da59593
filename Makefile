# Every target installs what it needs, prints that, and skips what is installed. Install by
# hand: Rust 1.95, Go 1.26, a C compiler.

SHELL := /bin/bash
.DEFAULT_GOAL := all
.NOTPARALLEL: # cargo and go use every core by themselves

PREFIX ?= /usr/local

# The Go linker and the tests look for the libraries here.
export CARGO_TARGET_DIR := $(CURDIR)/target

# The output of --version. Without git it is only the version.
COMMIT := $(shell git rev-parse --short=10 HEAD 2>/dev/null)
export ENCARNO_VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)$(COMMIT:%= (%))

RELEASE := target/release
BRIDGE := $(RELEASE)/libencarno_k6_bridge.a
BINARIES := $(RELEASE)/wrpc-wasmtime-nats $(RELEASE)/wrpc-wasmtime-tcp $(if $(wildcard crates/encarno/Cargo.toml),$(RELEASE)/encarno)
COMPONENTS := blaster-component/blaster-component.wasm http-component/http-component.wasm shop-component/shop-component.wasm
GUESTS := $(patsubst _examples/guests/%/Cargo.toml,_examples/guests/%.wasm,$(wildcard _examples/guests/*/Cargo.toml))

# Always build the whole workspace: for a part of it cargo would choose other features, and
# compile wasmtime and tokio again.
CARGO_BUILD := cargo build --release --workspace --lib --bins --examples

GO_SOURCES := $(shell find k6-ext -name '*.go' -not -name '*_test.go' -o -name 'go.???' -o -name '*.h') $(wildcard crates/k6-bridge/include/*.h)

##@ Build

.PHONY: all
all: k6 $(BINARIES) ## Build ./k6 and, in target/release, wrpc-wasmtime-nats and encarno

.PHONY: encarno
encarno: $(RELEASE)/encarno ## Build only the hit generator, without ./k6

# cargo knows what is up to date. It runs quietly if all files exist.
.PHONY: cargo
cargo: needs
	@if [ -e $(BRIDGE) ] && [ -e $(firstword $(BINARIES)) ]; then $(CARGO_BUILD) --quiet; \
	else echo "make: building the Rust workspace (minutes, the first time)"; $(CARGO_BUILD); fi

# With empty recipes, make checks the files again after cargo has run.
$(BRIDGE) $(BINARIES): cargo
	@:

# The library's hash is a flag, because Go doesn't notice changes of a library.
k6: $(BRIDGE) $(GO_SOURCES) target/commit
	@echo "make: building ./k6 (a minute or two, the first time)"
	@hash=$$(sha256sum $(BRIDGE) | cut -c1-16) && cd k6-ext && \
	CGO_ENABLED=1 go build -trimpath -ldflags "-X main.libraryHash=$$hash -X github.com/encarno/encarno/k6-ext.commit=$(COMMIT)" -o ../k6 ./cmd/k6

# This file changes with the commit, which `k6 version` prints.
target/commit: FORCE
	@mkdir -p target; [ "$$(cat $@ 2>/dev/null)" = "$(COMMIT)" ] || echo "$(COMMIT)" >$@

.PHONY: FORCE
FORCE:

.PHONY: component
component: $(COMPONENTS) $(GUESTS) ## Build the components blaster-component, http-component and shop-component, and those in _examples/guests

define component_rule
$(1)/$(1).wasm: $(wildcard $(1)/src/* $(1)/Cargo.* $(1)/wit/*.wit wit/*.wit wit/deps/*/*.wit) scripts/build-component scripts/standard-library.sh | needs
	@scripts/build-component $(1)
endef
# One workspace, whose members are built at once.
$(GUESTS) &: $(wildcard _examples/guests/*/src/* _examples/guests/*/Cargo.toml _examples/guests/Cargo.* wit/nib/*.wit wit/scenario/*.wit) scripts/build-component scripts/standard-library.sh | needs
	@scripts/build-component _examples/guests

$(foreach name,blaster-component http-component shop-component,$(eval $(call component_rule,$(name))))

.PHONY: install
install: all ## Install k6, the receivers and encarno under PREFIX (default /usr/local), below DESTDIR; K6=NAME names the k6
	@scripts/install "$(PREFIX)"

.PHONY: clean
clean: ## Delete what the other targets built
	rm -rf target bin dist k6 $(COMPONENTS) $(GUESTS) blaster-component/target http-component/target shop-component/target _examples/guests/target taurus/.venv

##@ Pack

.PHONY: dist
dist: all ## Build archives for users into dist/ (tens of minutes, the first time); TARGET=aarch64-unknown-linux-gnu for another machine
	@scripts/dist

.PHONY: dist-check
dist-check: all ## Build archives twice, in two folders, and compare their bytes (ARCHIVES="encarno wrpc-wasmtime encarno-k6")
	@scripts/dist-check $(ARCHIVES)

.PHONY: image
image: all bin/nats-server ## Build OCI images of encarno, k6 and the receivers into dist/images (Debian)
	@scripts/image

.PHONY: wheel
wheel: all ## Build a wheel of the Taurus module that contains encarno into dist/
	@scripts/wheel

##@ Try

.PHONY: demo
demo: all component bin/nats-server ## Hit encarno's own target, run _examples/blaster.js against a receiver, and write a report of both
	@scripts/demo

.PHONY: demo-http
demo-http: all component bin/nats-server ## Run _examples/http/basic.js against http-component
	@scripts/demo-http

.PHONY: picture-terminal
picture-terminal: ## Draw docs/img/terminal.svg: the dashboard of a real run
	@mkdir -p docs/img
	PICTURE=$(CURDIR)/docs/img/terminal.svg cargo test --release --workspace --test terminal -- --ignored picture

.PHONY: picture
picture: all component bin/nats-server ## Draw docs/img/report.png: the report of the demo, in Debian's Chromium
	@scripts/picture

.PHONY: bench
bench: all component bin/nats-server bin/http3-peer ## Measure, and write the tables of bench/README.md (QUICK=1: a short run, not written)
	@bench/run $(if $(QUICK),--quick)
	@bench/http $(if $(QUICK),--quick)
	@bench/hits $(if $(QUICK),--quick)
	@bench/capacity $(if $(QUICK),--quick)
	@bench/fleet $(if $(QUICK),--quick)
	@bench/report

.PHONY: soak
soak: all component bin/nats-server ## Check whether k6 or the receiver grow under load (DURATION=20m VUS=256)
	@scripts/soak

##@ Check

.PHONY: test
test: all component bin/nats-server bin/toxiproxy bin/h2spec bin/grpc-peer bin/http3-peer bin/websocket-peer bin/prometheus bin/otelcol bin/axe bin/xk6 ## Run every test, with real servers
	@scripts/test

.PHONY: fuzz
fuzz: needs ## Give each parser random inputs, guided by coverage (TIME=5m TARGETS="codec config")
	@scripts/fuzz

.PHONY: test-kube
test-kube: image ## Run encarno kube against a real Kubernetes of one node (root on Debian; the first build takes 7 minutes)
	@scripts/test-kube

.PHONY: test-fleet
test-fleet: all bin/nats-server bin/toxiproxy ## Let agents fail at random instants, a hundred times (ROUNDS=20 SEED=7)
	@ENCARNO_FAULTS=$(or $(ROUNDS),100) $(if $(SEED),ENCARNO_SEED=$(SEED)) \
	cargo test --release --workspace --test fleet_faults -- --nocapture

.PHONY: attack
attack: all component bin/nats-server ## Run storms against all parts, and print how each holds up (TIME=60s STORMS="prefaces" WRITE=1: docs/attack.md)
	@scripts/attack

.PHONY: lint
lint: needs bin/staticcheck ## Check format, lints, headers, directions of dependencies, links in documents
	@scripts/lint

.PHONY: audit
audit: needs bin/govulncheck ## Check the dependencies for advisories and licences (needs a network)
	@scripts/audit

.PHONY: header
header: ## Write the header of the C ABI again
	@ENCARNO_WRITE_HEADER=1 cargo test --release --workspace --quiet --test header

##@ Set up

.PHONY: setup
setup: needs bin/nats-server bin/toxiproxy bin/h2spec bin/grpc-peer bin/http3-peer bin/websocket-peer bin/staticcheck ## Build the pinned tools into bin/, and a virtualenv with Taurus
	@scripts/taurus-venv || true

# Built once, because `go tool` would link it again whenever Go's cache was cleared.
bin/nats-server: tools/go.mod | needs
	@echo "make: building bin/nats-server"
	@cd tools && CGO_ENABLED=0 go build -trimpath -o ../bin/ github.com/nats-io/nats-server/v2 && touch ../$@

bin/staticcheck: tools/go.mod | needs
	@echo "make: building bin/staticcheck"
	@cd tools && CGO_ENABLED=0 go build -trimpath -o ../bin/ honnef.co/go/tools/cmd/staticcheck && touch ../$@

bin/toxiproxy: tools/go.mod | needs
	@echo "make: building bin/toxiproxy"
	@cd tools && CGO_ENABLED=0 go build -trimpath -o ../bin/toxiproxy github.com/Shopify/toxiproxy/v2/cmd/server && touch ../$@

# If it isn't available, its test says so.
bin/prometheus:
	@echo "make: unpacking bin/prometheus"
	@scripts/prometheus || true

# Where it can't be had, its test says so.
bin/axe: scripts/axe
	@echo "make: installing bin/axe"
	@scripts/axe && touch $@ || true

bin/h2spec: tools/go.mod | needs
	@echo "make: building bin/h2spec"
	@cd tools && CGO_ENABLED=0 go build -trimpath -o ../bin/ github.com/summerwind/h2spec/cmd/h2spec && touch ../$@

bin/grpc-peer: tools/grpc-peer/go.mod $(wildcard tools/grpc-peer/*.go) | needs
	@echo "make: building bin/grpc-peer"
	@cd tools/grpc-peer && CGO_ENABLED=0 go build -trimpath -o ../../bin/ . && touch ../../$@

bin/http3-peer: tools/http3-peer/go.mod $(wildcard tools/http3-peer/*.go) | needs
	@echo "make: building bin/http3-peer"
	@cd tools/http3-peer && CGO_ENABLED=0 go build -trimpath -o ../../bin/ . && touch ../../$@

bin/websocket-peer: tools/websocket-peer/go.mod $(wildcard tools/websocket-peer/*.go) | needs
	@echo "make: building bin/websocket-peer"
	@cd tools/websocket-peer && CGO_ENABLED=0 go build -trimpath -o ../../bin/ . && touch ../../$@

# A module of its own: what it needs is none of the other tools' business.
bin/otelcol: tools/collector/go.mod tools/collector/main.go | needs
	@echo "make: building bin/otelcol"
	@cd tools/collector && CGO_ENABLED=0 go build -trimpath -o ../../bin/otelcol . && touch ../../$@

bin/xk6: tools/go.mod | needs
	@echo "make: building bin/xk6"
	@cd tools && CGO_ENABLED=0 go build -trimpath -o ../bin/ go.k6.io/xk6 && touch ../$@

bin/govulncheck: tools/go.mod | needs
	@echo "make: building bin/govulncheck"
	@cd tools && CGO_ENABLED=0 go build -trimpath -o ../bin/ golang.org/x/vuln/cmd/govulncheck && touch ../$@

.PHONY: needs
needs:
	@scripts/needs

.PHONY: help
help: ## Show this help
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { print (NR > 1 ? "\n" : "") substr($$0, 5) } \
	/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
