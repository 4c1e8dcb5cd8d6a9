.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all soak check bench
BIN := .venv/bin

help:  ## show these lines
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/'

setup:  ## make .venv and install what is missing
	@scripts/setup.sh

demo:  ## open the app on three local pods with small real runs
	@scripts/setup.sh demo
	@$(BIN)/ops demo

test: setup  ## every test but the injected faults, against real sshd and tmux on loopback
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --ignore tests/faults

test-all: setup  ## every test, the injected faults and real container engines too
	@scripts/engines.sh
	@scripts/networks.sh
	@PODOPS_TEST_ENGINES=1 $(BIN)/python -m pytest -q -n 4 --dist loadfile --no-loadscope-reorder

MINUTES ?= 30
soak: setup  ## random faults over 20 pods for MINUTES=30, then every invariant
	@OPS_SOAK_MINUTES=$(MINUTES) OPS_SOAK_PODS=20 $(BIN)/python -m pytest -q -s tests/faults/soak

check: setup  ## lint, format, types, layers
	@$(BIN)/ruff check core tui runners tests benchmarks
	@$(BIN)/ruff format --check core tui runners tests benchmarks
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup  ## measure beside what one would use instead, and write docs/performance.md
	@$(BIN)/python -m benchmarks.run --write docs/performance.md
