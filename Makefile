# Each target sets up what it needs on a machine that has only python3 (3.11 or newer), venv and make.
.DEFAULT_GOAL := help
PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
READY := .venv/.ready

.PHONY: help demo test lint bench clean

help:  ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | column -t -s:

demo: $(READY)  ## Index the shipped footage, search for the missing person, write reid-demo/report.html
	.venv/bin/reid demo

test: $(READY)  ## Run all tests, one process for each of at most four cores
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: $(READY)  ## Check style and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench: $(READY)  ## Run every benchmark in its quick form
	.venv/bin/python -m benchmarks all --quick

clean:  ## Remove everything that was set up or made
	rm -rf .venv .uv reid-demo .pytest_cache .mypy_cache .ruff_cache

$(READY): pyproject.toml $(UV)
	$(UV) sync --quiet --python $(PYTHON)
	touch $@

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet uv
