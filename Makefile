# Each target builds what it needs, in this folder, and does nothing twice. All it wants is Python 3.11 or later and make.

PYTHON ?= python3
CANDIDATE ?= good
WORKERS ?= 2
PYTEST_ARGS ?=
BENCH_ARGS ?=
CHAOS_ARGS ?=

VENV := .venv
LOWEST := .venv-lowest
# Each has an environment with nothing but the client: they pin botocore.
CLIENTS := boto3-lowest aiobotocore aiobotocore-lowest awscli
BIN := $(VENV)/bin
# What is not read anew by an installation that it is already in.
SOURCES := pyproject.toml $(shell find shadow_provider -name '*.c')

# Byte code that is not kept makes every start of Airflow twice as slow.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo test test-lowest test-clients chaos check format bench bench-evaluate bench-local bench-memory calibrate requirements clean

help:  ## Show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(VENV)/.installed  ## Install everything into .venv, pinned and hash-checked

demo: $(VENV)/.installed  ## Run the pipeline on this machine: CANDIDATE=good|bad|broken|same
	$(BIN)/sagemaker-shadow demo $(CANDIDATE) --directory build/demo

test: $(VENV)/.installed  ## Run the tests with the newest supported versions
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

test-lowest: $(LOWEST)/.installed  ## Run the tests with the lowest supported versions
	$(LOWEST)/bin/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

test-clients: $(VENV)/.installed $(CLIENTS:%=.venv-clients-%/.installed)  ## Run the local AWS against all its clients
	$(BIN)/python -m pytest tests/clients $(PYTEST_ARGS)

chaos: $(VENV)/.installed  ## Kill the pipeline just before and just after each of its AWS calls; CHAOS_ARGS=--help
	$(BIN)/python -m tests.chaos $(CHAOS_ARGS)

check: $(VENV)/.installed  ## Lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed  ## Print the benchmarks' ratios
	$(BIN)/python -m benchmarks.import_cost

bench-evaluate: $(VENV)/.installed  ## Measure evaluation against its targets: BENCH_ARGS=--quick or --large
	$(BIN)/python -m benchmarks.evaluate $(BENCH_ARGS)

bench-local: $(VENV)/.installed  ## Measure the local AWS against its targets: BENCH_ARGS=--quick for two minutes
	$(BIN)/python -m benchmarks.local_gateway $(BENCH_ARGS)

bench-memory: $(VENV)/.installed  ## Memory of the local AWS over a million requests, about fifteen minutes
	$(BIN)/python -m benchmarks.local_memory $(BENCH_ARGS)

calibrate: $(VENV)/.installed  ## Simulate how often each rule of decision errs: ours, a fixed sample, Kayenta's
	$(BIN)/python -m benchmarks.calibration

# uv resolves for every supported Python at once. The lowest set is also one of its own time: Airflow's first releases
# do not run with libraries that came a year later, so nothing newer than amazon 9.25 is let in, but for our own floors
# of moto and DuckDB.
requirements: $(VENV)/.installed  ## Resolve the pinned requirements anew
	$(BIN)/uv pip compile -q pyproject.toml --extra dev --extra local --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --upgrade -o requirements/newest.txt
	$(BIN)/uv pip compile -q pyproject.toml --extra dev --extra local --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --upgrade --resolution lowest-direct --exclude-newer 2026-04-15 \
		--exclude-newer-package moto=2026-11-15 --exclude-newer-package duckdb=2026-11-15 \
		-c requirements/lowest.constraints \
		-o requirements/lowest.txt
	for client in $(CLIENTS); do \
		$(BIN)/uv pip compile -q requirements/clients-$$client.in --universal --python-version 3.11 \
			--generate-hashes --no-header --no-annotate --upgrade -o requirements/clients-$$client.txt || exit 1; \
	done

clean:  ## Remove everything that the other targets made
	rm -rf build dist *.egg-info $(VENV) $(LOWEST) .venv-clients-* .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find shadow_provider -name '*.so' -delete

# $(1): the virtual environment, $(2): its requirements. uv only for speed; the hashes hold either way.
define install_into
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; $(PYTHON) is older. Give another: make PYTHON=python3.12 ..." >&2; exit 1; }
	test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
	$(1)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(1)/bin/uv pip install --quiet --python $(1)/bin/python --require-hashes -r $(2)
	$(1)/bin/uv pip install --quiet --python $(1)/bin/python --no-deps --reinstall -e .
	touch $@
endef

$(VENV)/.installed: requirements/newest.txt $(SOURCES)
	$(call install_into,$(VENV),requirements/newest.txt)

$(LOWEST)/.installed: requirements/lowest.txt $(SOURCES)
	$(call install_into,$(LOWEST),requirements/lowest.txt)

.venv-clients-%/.installed: requirements/clients-%.txt | $(VENV)/.installed
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-clients-$*
	$(BIN)/uv pip install --quiet --python .venv-clients-$*/bin/python --require-hashes -r $<
	touch $@
