# Taximeter. `make help` explains every target. All of them set up what they need in .venv, from constraints.txt.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=
FAULTS ?=
# Where compiled modules may not be written, each process of a test run, and there are hundreds, compiles all that it imports.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long lint format unit bench-pipeline bench-sink bench-sdk bench-rollup bench-quota bench-api clean chaos shadow-proof kill-proof chaos-long

help: ## Explain every target
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else 1)' || \
		{ echo "Python 3.11 or later is needed; name it: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "making $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV) >&2
	@# uv takes seconds where pip takes minutes; where it cannot reach what pip is set up to reach, pip does it.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv >&2 && \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]' >&2 || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]' >&2
	@touch $@

setup: $(READY) ## Make .venv with the pinned dependencies

demo: setup ## Start real servers, run an instrumented executor, show what it cost, check it (ARGS="--json"; "--keep": and serve the dashboard)
	@$(BIN)/taximeter demo $(ARGS)

test: setup lint ## Lint, types, import contracts and the tests, three at a time (ARGS="-k sink -n 0": one at a time)
	$(BIN)/python -m pytest -n 3 --dist loadscope -m "not long" $(ARGS)

test-long: setup lint ## The same with those tests that repeat at length what a quicker one shows
	$(BIN)/python -m pytest -n 3 --dist loadscope $(ARGS)

lint: $(READY) ## Style, formatting, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2
	$(BIN)/mypy --num-workers 2 -p examples -p bench -p chaos
	$(BIN)/lint-imports

format: $(READY) ## Put the code into the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

unit: $(READY) ## The tests that need no server
	$(BIN)/python -m pytest -m 'not integration' $(ARGS)

bench-pipeline: setup ## Emitted to visible in the rollups: events per second and freshness (ARGS="--events 100000")
	$(BIN)/python -m bench.pipeline $(ARGS)

bench-sink: setup ## The sink against the engine's own limit and its peers; latency, scaling, memory (ARGS="--long")
	$(BIN)/python -m bench.sink $(ARGS)

bench-sdk: setup ## A metered node on the caller's thread, and the encoder, against what one would use instead (ARGS="--rounds 30")
	$(BIN)/python -m bench.sdk $(ARGS)

bench-rollup: setup ## A tick that touches 1,000 runs, over 50 million stored events against one million (ARGS="--rows 10000000")
	$(BIN)/python -m bench.rollup $(ARGS)

bench-quota: setup ## A quota check in-process, a reservation against one round trip and Redis, overdrawing (ARGS="--rounds 5")
	$(BIN)/python -m bench.quota $(ARGS)

bench-api: setup ## Reads of runs by HTTP with 10 million events stored, at one caller and at eight (ARGS="--rows 2000000")
	$(BIN)/python -m bench.api $(ARGS)

chaos: setup ## Break everything in every way, 20 seeds each, and prove that no number changes (FAULTS=quota, ARGS="--fault zombie")
	@faults=0; $(BIN)/python -m chaos --seeds 20 $(if $(FAULTS),--group $(FAULTS)) $(ARGS) || faults=$$?; \
		$(if $(filter quota,$(FAULTS)),true,$(BIN)/python -m chaos --mutations) && exit $$faults

shadow-proof: setup ## Five million events replayed into a shadow and swapped in under live traffic, with kills (ARGS="--events 200000")
	$(BIN)/python -m chaos.shadow_replay --events 5000000 $(ARGS)

kill-proof: setup ## A million events, and kill -9 of the sink every three seconds (ARGS="--events 100000")
	$(BIN)/python -m chaos.killed_load --events 1000000 $(ARGS)

chaos-long: setup ## The same with longer runs, 1,000 of them
	$(BIN)/python -m chaos --long $(ARGS)

clean: ## Remove .venv, caches and benchmark results
	rm -rf $(VENV) .venv-peers bench/out chaos/out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
