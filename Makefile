# Everything a person or CI does with this repository. `make` lists it.
#
# What is built goes to a cache outside of the checkout: a fresh clone on a
# machine that has seen the project before starts warm.

SHELL := /usr/bin/env bash
cache := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)
export CARGO_TARGET_DIR ?= $(cache)/dagger/target

# Cargo tells checkouts that share this cache apart by the age of their files
# alone, so what another one built last would pass for what this one builds.
define ours
@mkdir -p "$(CARGO_TARGET_DIR)"; \
if [[ "$$(cat "$(CARGO_TARGET_DIR)/checkout" 2>/dev/null)" != "$(CURDIR)" ]]; then \
	cargo clean --quiet --package dagger; cargo clean --quiet --release --package dagger; \
	rm -rf "$(CARGO_TARGET_DIR)"/*-linux-*/*/.fingerprint/dagger-*; \
	echo "$(CURDIR)" >"$(CARGO_TARGET_DIR)/checkout"; \
fi
endef

# The bed of `make bed-up`: where it lives, and what runs in it.
BED ?= $(cache)/dagger/bed
SERVICES ?= jaeger buildkitd

.PHONY: help demo test lint static image bench bed-up bed-down clean

help: ## say what can be made (the default)
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: ## build dagger, run a build against a real BuildKit, verify its trace
	$(ours)
	@tests/demo

test: ## all checks, then all tests against real daemons
	$(ours)
	@tests/testbed/provision >/dev/null
	@tests/lint
	@packaging/static --debug --or-glibc >/dev/null
	cargo test --locked --tests

lint: ## format, clippy, licences, advisories, shell scripts
	$(ours)
	@tests/lint

static: ## a dagger that needs no library of the machine it runs on
	$(ours)
	@packaging/static

image: ## the same in an image, built by itself: dagger-image.tar, for docker load
	$(ours)
	@packaging/image

bench: ## dagger against its peers, each pair in one run
	$(ours)
	@tests/bench/up_vs_buildctl.py
	@tests/bench/connect_vs_buildctl.py
	@tests/bench/export_throughput.py
	@tests/bench/trace_cost.py
	@tests/bench/serve.py
	@tests/bench/monorepo.py
	@tests/bench/context_rss.py
	@tests/bench/page.py
	cargo bench --locked --bench progress
	@tests/bench/verify_scale.py

bed-up: ## start a test bed by hand (BED=folder SERVICES="jaeger buildkitd:udp")
	@tests/testbed/up "$(BED)" $(SERVICES)
	@tests/testbed/status "$(BED)"
	@echo 'to use it:  . $(BED)/env      to end it:  make bed-down'

bed-down: ## end that bed, and those that demos have left
	@for bed in "$(BED)" "$${TMPDIR:-/tmp}"/dagger-demo.*/bed; do tests/testbed/down "$$bed"; done
	@rm -rf "$${TMPDIR:-/tmp}"/dagger-demo.*

clean: bed-down ## end the beds, remove what cargo built (not the daemons: they take minutes)
	cargo clean
	@echo 'the daemons of the test bed stay in $(cache)/dagger-testbed'
