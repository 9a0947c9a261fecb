PYTHON ?= python3
VENV := .venv
GPU_VENV := .venv-gpu
BIN := $(VENV)/bin
CODE := runtime events features retention training serving report holdfast

# One more than the two cores that are promised: a test that waits leaves its core to another.
WORKERS ?= 3
# They start hundreds of processes: what is compiled once is kept for all.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint format bench bench-features bench-retention gpu-env gpu-check clean

help: ## Show this help
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.developing: $(VENV)/.installed
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(VENV)/.installed ## From nothing to a CRM list on the synthetic world
	$(BIN)/holdfast demo

test: $(VENV)/.developing ## The test suite
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow"

test-slow: $(VENV)/.developing ## The long tests too: every kill moment, more examples
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

lint: $(VENV)/.developing ## Style, types, floors and doorways
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/runtime/test_floors.py

format: $(VENV)/.developing ## Rewrite the code in the house's style
	$(BIN)/ruff check --fix-only -q .
	$(BIN)/ruff format .

bench-features: $(VENV)/.developing ## 50 M events: features beside DuckDB, Polars, pandas and a bare scan; ingest beside DuckDB
	$(BIN)/python -m benchmarks.features
	$(BIN)/python -m benchmarks.ingest

bench-retention: $(VENV)/.developing ## 50 M events: cohorts, a funnel and paths beside DuckDB and a bare scan
	$(BIN)/python -m benchmarks.retention

bench: $(VENV)/.developing ## Benchmarks: ratios side by side, with the floor beside them
	$(BIN)/python -m benchmarks

$(GPU_VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(GPU_VENV)
	$(GPU_VENV)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[gpu]'
	@touch $@

gpu-env: $(GPU_VENV)/.installed ## The [gpu] extra in its own environment; then `make test` translates every plan to cuDF

gpu-check: $(GPU_VENV)/.installed ## On a GPU host: every plan on cuDF against the CPU
	$(GPU_VENV)/bin/python -m benchmarks.gpu_check

clean: ## Remove what the demo and the tests left
	rm -rf demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
