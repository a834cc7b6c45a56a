# Each target installs what it needs first; see tests/setup.sh. `make` alone lists them.

CARGO  ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)

PLUGINS      := $(patsubst %/Cargo.toml,%,$(wildcard plugins/*/Cargo.toml))
TEST_PLUGINS := $(patsubst %/Cargo.toml,%,$(wildcard tests/plugins/*/Cargo.toml))
BENCH_PLUGINS := noop hostile misbehave motion-next company

# A progress bar for people; for logs nothing but what is wrong.
QUIET := $(shell [ -t 2 ] || echo --quiet)

.PHONY: help setup setup-lint setup-test setup-bench setup-distros setup-pictures build plugins demo test lint audit \
	check-ffmpeg test-distros soak sweep structure pictures book fuzz bench bench-check bench-micro bench-sandbox bench-neighbours

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: ## installs what is missing to build comux and plugins
	@tests/setup.sh build

setup-lint:
	@tests/setup.sh lint

setup-bench:
	@tests/setup.sh bench

setup-distros:
	@tests/setup.sh distros

setup-pictures:
	@tests/setup.sh pictures

setup-test: ## … and to test them: ffmpeg, Java and Apache Kafka
	@tests/setup.sh test

build: setup ## the optimised binary
	@[ -e $(TARGET)/release/comux ] || echo "compiling comux and all it is made of takes some minutes" >&2
	@$(CARGO) build --release -p comux-cli $(QUIET)

plugins: build ## the plugins, as components in target/plugins
	@set -e; for plugin in $(PLUGINS); do $(TARGET)/release/comux plugin build $$plugin; done

demo: plugins ## real footage through real plugins, with a live table of results
	@$(TARGET)/release/comux demo

# Tests of the system wait for video in real time, and for Kafka: several a core keep it busy. Those in
# which the time of calls is looked at, of plugins that want all of a core, have one core each.
CORES := $(shell getconf _NPROCESSORS_ONLN)
TEST_THREADS ?= $(shell echo $$((3 * $(CORES))))
TIMED_TESTS := hostile:: hostile_components:: hostile_hooks:: neighbours:: sched::

# Everything in one go and one profile, so that nothing is compiled twice with other features.
test: setup-test ## every test, on a real Apache Kafka
	$(CARGO) build --workspace --lib --bins --examples --tests
	@set -e; for plugin in $(PLUGINS) $(TEST_PLUGINS); do \
		$(TARGET)/debug/comux plugin build $$plugin; done
	RUST_TEST_THREADS=$(TEST_THREADS) $(CARGO) test --workspace --no-fail-fast -- \
		$(addprefix --skip ,$(TIMED_TESTS))
	RUST_TEST_THREADS=$(CORES) $(CARGO) test --workspace --lib --test system -- $(TIMED_TESTS)

soak: ## the tests that show what comes of long use, at length
	COMUX_SOAK=1 $(MAKE) test

sweep: setup-test ## every encoding with every damage, against what ffmpeg shows of it
	$(CARGO) build --workspace --lib --bins --examples --tests
	$(TARGET)/debug/comux plugin build tests/plugins/fingerprint
	COMUX_SOAK=1 $(CARGO) test --workspace --test system -- sweep::

# One after the other, because each wants the machine to itself. ONLY=latency,scale measures some parts,
# CYCLES=10000 turns over as many cameras.
bench: setup-bench plugins ## every figure of the book: against the decoder, Python and comux 0.2.0
	@set -e; for plugin in $(BENCH_PLUGINS); do \
		$(TARGET)/release/comux plugin build tests/plugins/$$plugin; done
	$(CARGO) bench -p comux-tests --bench sandbox
	$(CARGO) bench -p comux-tests --bench ratios

bench-check: ## whether the figures of the last `make bench` are within tests/benches/bounds.toml
	$(CARGO) bench -p comux-tests --bench check

bench-micro: plugins ## what the steps of a frame's way cost one by one
	$(TARGET)/release/comux plugin build tests/plugins/noop
	$(CARGO) bench -p comux-tests --bench micro

bench-sandbox: plugins ## what the sandbox costs: the same analytics as a plugin and natively
	$(TARGET)/release/comux plugin build tests/plugins/noop
	$(CARGO) bench -p comux-tests --bench sandbox

bench-neighbours: setup-test plugins ## what a tenant notices of another one that misbehaves
	@set -e; for plugin in $(TEST_PLUGINS); do $(TARGET)/release/comux plugin build $$plugin; done
	$(CARGO) bench -p comux-tests --bench neighbours

lint: setup-lint ## format, clippy, documentation, and what dependencies may be
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps
	tests/features/check
	PATH="$(TARGET)/tools:$$PATH" cargo-deny check licenses bans sources

# Not a part of `lint`: the database is a Git repository, which not every machine reaches.
structure: setup ## which files import which: no circles, and rooms look down only
	$(CARGO) test --workspace --test structure

audit: setup-lint ## known vulnerabilities of dependencies; ADVISORY_DB=a clone of rustsec/advisory-db
	@tests/audit.sh

check-ffmpeg: setup-distros ## whether it compiles with the FFmpeg of other distributions
	@tests/distros/ffmpeg.sh $(if $(IF_REACHABLE),--if-reachable)

test-distros: setup-distros ## set-up, demo and some tests on fresh other distributions, as root
	@tests/distros/run.sh

fuzz: setup ## what comes from outside, each target for FUZZ_SECONDS (60)
	@tests/fuzz/run

pictures: setup-pictures plugins ## the pictures of the book: a frame of a real run, and the data flow
	docs/pictures.sh $(TARGET)/release/comux $(TARGET)/plugins

book: ## the book as web pages, in target/book; needs mdBook
	@command -v mdbook >/dev/null || { \
		echo "mdBook is missing: cargo install mdbook --locked" >&2; exit 1; }
	mdbook build docs
