# Everything that make installs is locked with hashes in requirements/ and goes into .venv; a second run installs nothing.
# Stamps lie inside .venv, so `rm -rf .venv` starts afresh.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

BIN := .venv/bin
export PATH := $(CURDIR)/.venv/bin:$(PATH)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
# A lock names every package, so nothing is left to resolve; pip would take the newest of a package that another asks for
# with an extra. `pip check` says whether the lock is whole.
LOCKED := --no-deps --require-hashes
# The extra `demo` (Node as a wheel) is apart: it is installed only where the machine has no Node of its own.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command 'make lock' $(UPGRADE)

.PHONY: help
help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/.created:
	tools/provide.sh venv
	touch $@

# All that development needs contains all that running needs, at the same versions.
.venv/.run: requirements/run.txt pyproject.toml | .venv/.created
	$(PIP) $(LOCKED) -r requirements/run.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip --quiet --disable-pip-version-check check
	touch $@

.venv/.dev: requirements/dev.txt pyproject.toml | .venv/.created
	$(PIP) $(LOCKED) -r requirements/dev.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip --quiet --disable-pip-version-check check
	touch $@ .venv/.run

# The workers that Node runs, wherever a package-lock.json lies. A machine without Node gets it as a wheel, in .venv/bin.
NODE_WORKERS := $(patsubst %/package-lock.json,%,$(wildcard workers/*/package-lock.json))

workers/%/node_modules/.installed: workers/%/package-lock.json | .venv/.created
	tools/provide.sh node
	cd workers/$* && npm ci --no-audit --no-fund --loglevel=error
	touch $@

.PHONY: node-workers
node-workers: $(NODE_WORKERS:%=%/node_modules/.installed)
	for worker in $(NODE_WORKERS); do (cd "$$worker" && npm run --silent --if-present build); done

# The parser of the AsyncAPI standard, which tests hold our documents against.
tools/asyncapi/node_modules/.installed: tools/asyncapi/package-lock.json | .venv/.created
	tools/provide.sh node
	cd tools/asyncapi && npm ci --no-audit --no-fund --loglevel=error
	touch $@

.PHONY: asyncapi-check
asyncapi-check: tools/asyncapi/node_modules/.installed

.PHONY: install
install: .venv/.dev ## make .venv with stepbus (editable), all its extras and every tool

.PHONY: demo
demo: .venv/.run ## run the demo: an order fulfilled by a Python and a TypeScript worker (BUS=kafka|rabbitmq|redis|nats)
	$(MAKE) --no-print-directory node-workers || echo 'Node could not be had: the demo runs with Python workers alone.'
ifdef BUS
	test -n "$${BUS_URL:-}" || test '$(BUS)' = nats || tools/provide.sh '$(BUS)'
	$(BIN)/python -m tools.demo '$(BUS)'
else
	$(BIN)/python examples/order_fulfilment/demo.py
endif

.PHONY: test
test: .venv/.dev node-workers asyncapi-check ## run every test, with real servers
	tools/provide.sh servers
	tools/workers.sh
	$(BIN)/pytest -n 3 --dist worksteal --reruns 2 -r fER --cov --cov-report=
	$(BIN)/coverage report
	$(BIN)/coverage report --include='contracts/*,orchestrator/stepbus/orchestrator/core/*' --fail-under=100

.PHONY: workers
workers: .venv/.dev node-workers ## build and test every reference worker whose toolchain is here, and say which are not
	tools/workers.sh

.PHONY: matrix
matrix: .venv/.dev ## run every bus and store on its real server, and write docs/matrix.md
	tools/provide.sh servers
	$(BIN)/python -m tests.support.matrix

.PHONY: check
check: .venv/.dev ## check format, style, types, layers, schemas, packaging and changelog
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -qq tests/architecture/test_packaging.py tests/architecture/test_schemas.py
	$(BIN)/towncrier build --draft --version next

.PHONY: schemas
schemas: .venv/.run ## write the JSON Schemas and golden documents anew from the pydantic classes
	$(BIN)/python -m stepbus.contracts.schemas

.PHONY: bench
bench: .venv/.run ## run the measurements in benchmarks/ (the workloads themselves: stepbus bench)
	@echo 'Workloads are run by: $(BIN)/stepbus bench'
	for script in $(wildcard benchmarks/*.py); do $(BIN)/python "$$script" $(ARGUMENTS); done

WORKLOADS ?= W1 W2
PAIRS ?= 5
.PHONY: bench-compare
bench-compare: .venv/.dev ## compare the workloads with those of a revision (BASE=, WORKLOADS=, PAIRS=, ARGUMENTS=)
	@test -n '$(BASE)' || { echo 'Say which revision to compare with: make bench-compare BASE=HEAD~1'; exit 2; }
	$(BIN)/python -m tools.bench_compare '$(BASE)' --workloads '$(WORKLOADS)' --pairs $(PAIRS) --arguments='$(ARGUMENTS)'

.PHONY: servers
servers: .venv/.run ## start NATS, PostgreSQL, RabbitMQ, Redis and Kafka for trying out, until Ctrl-C
	tools/provide.sh servers
	exec $(BIN)/python -m tools.servers

.PHONY: lock
lock: .venv/.created ## lock anew what pyproject.toml asks for (UPGRADE=--upgrade: the newest of each)
	$(PIP) $(LOCKED) -r requirements/lock.txt
	$(COMPILE) --extra kafka --extra nats --extra postgres --extra rabbitmq --extra redis --extra test --extra check -o requirements/dev.txt pyproject.toml requirements/build.in
	$(COMPILE) --extra kafka --extra nats --extra postgres --extra rabbitmq --extra redis -c requirements/dev.txt -o requirements/run.txt pyproject.toml requirements/build.in
	$(COMPILE) --extra demo -c requirements/dev.txt -o requirements/node.txt pyproject.toml
	$(COMPILE) -o requirements/lock.txt requirements/lock.in
