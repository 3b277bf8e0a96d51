# Everything a newcomer needs. `make` alone lists the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# One more than most machines have cores: many tests wait for a server to start.
WORKERS ?= 3

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench conformance docs lock clean

help:  ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(VENV)/.runtime  ## The main job on an embedded database: a referral arrives on three channels and its case fills up
	$(BIN)/fhir-gateway demo $(DEMO)

test: $(VENV)/.dev  ## Every test, on SQLite and PostgreSQL
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

lint: $(VENV)/.dev  ## ruff, mypy --strict and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev  ## Rates of the hot path beside a floor measured in the same run
	$(BIN)/python -m benchmarks

conformance: $(VENV)/.dev  ## Public messages nobody here wrote: GATEWAY_CORPUS=folder [GATEWAY_MEDPLUM=folder] make conformance
	$(BIN)/python -m tests.conformance

docs: $(VENV)/.dev  ## Rebuild the generated tables in docs/ (settings, errors, events, message types)
	$(BIN)/python -m tests.docs.generate

LOCK := pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header
lock: $(VENV)/.dev  ## Rebuild the two hash-locked dependency files
	$(BIN)/uv $(LOCK) pyproject.toml -o requirements.lock
	$(BIN)/uv $(LOCK) --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:  ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist site

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@ $(VENV)/.runtime
