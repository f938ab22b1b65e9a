# Everything that make installs is locked with hashes in requirements/ and goes into .venv; a second run installs nothing.
# Stamps lie inside .venv, so `rm -rf .venv` starts afresh.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
# The extra `demo` (Node as a wheel) is apart: it is installed only where the machine has no Node of its own.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command 'make lock' $(UPGRADE)

.PHONY: help
help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/.created:
	tools/provide.sh venv
	touch $@

# All that development needs contains all that running needs, at the same versions.
.venv/.run: requirements/run.txt pyproject.toml | .venv/.created
	test -e .venv/.dev || $(PIP) --require-hashes -r requirements/run.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $@

.venv/.dev: requirements/dev.txt pyproject.toml | .venv/.created
	$(PIP) --require-hashes -r requirements/dev.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $@ .venv/.run

.PHONY: install
install: .venv/.dev ## make .venv with stepbus (editable), all its extras and every tool

.PHONY: lock
lock: .venv/.created ## lock anew what pyproject.toml asks for (UPGRADE=--upgrade: the newest of each)
	$(PIP) --require-hashes -r requirements/lock.txt
	$(COMPILE) --extra nats --extra postgres --extra test --extra check -o requirements/dev.txt pyproject.toml requirements/build.in
	$(COMPILE) --extra nats --extra postgres -c requirements/dev.txt -o requirements/run.txt pyproject.toml requirements/build.in
	$(COMPILE) --extra demo -c requirements/dev.txt -o requirements/node.txt pyproject.toml
	$(COMPILE) -o requirements/lock.txt requirements/lock.in
