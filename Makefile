# Commands for development; each target installs what it needs into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

SECONDS ?= $(if $(filter soak,$(MAKECMDGOALS)),3600,60)
BENCH = $(BIN)/python -B -m bench

# Installed packages are exactly those of requirements/, checked by their hashes.
LOCKED = requirements
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
  -r $(LOCKED)/build.txt
INSTALL_SOURCE = $(BIN)/python -m pip install --quiet --disable-pip-version-check \
  --no-deps --no-build-isolation --editable .

.PHONY: run bench bench-quick bench-wan bench-report test test-image test-units test-containers fuzz soak load lint structure lock generated clean help

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

run: $(VENV)/.installed  ## run a bridge with an embedded jump server, to try it out
	@$(BIN)/netjumper-bridge --embedded

test: $(VENV)/.installed-dev  ## run the tests; ARGS="..." passes options to pytest
	$(BIN)/pytest -n auto --dist worksteal $(ARGS)

test-image:  ## test the image and the sidecars; needs docker or podman with compose
	@$(PYTHON) -m tests.containers.run

test-units:  ## test the systemd units; needs root and podman
	@tests/systemd/test

test-containers:  ## test the image, the sidecars and, with podman, the systemd units
	@status=0; \
	$(MAKE) --no-print-directory test-image || status=1; \
	if [ -n "$${PODMAN:-}" ] || command -v podman >/dev/null; then \
	  $(MAKE) --no-print-directory test-units || status=1; \
	else echo "the systemd units are not tested: that needs podman"; fi; \
	exit $$status

bench: $(BIN)/python  ## run the benchmarks on loopback; ARGS=--quick for a short run
	@$(BENCH).loopback $(ARGS)

bench-quick: $(BIN)/python  ## run a short benchmark on loopback, in less than two minutes
	@$(BENCH).loopback --quick

bench-wan: $(BIN)/python  ## run the benchmarks over an emulated long path, as root; ARGS=--quick for a short run
	@$(BENCH).wan $(ARGS)

bench-report: $(BIN)/python  ## make docs/performance.md of the results of complete runs, or of ARGS="FILE..."
	@$(BENCH).report $(ARGS)

fuzz: $(VENV)/.installed-fuzz  ## fuzz every parser for SECONDS=60 each, or only ARGS="TARGET..."
	@$(BIN)/python -m fuzz --seconds $(SECONDS) $(ARGS)

soak: $(VENV)/.installed-dev  ## run all programs under faults for SECONDS=3600
	@$(BIN)/python -m soak --seconds $(SECONDS) $(ARGS)

load: $(VENV)/.installed-dev  ## run the load tests: 100,000 failing connections, a rush, bulk data beside small messages
	@$(BIN)/python -m soak.load $(ARGS)

lint: $(VENV)/.installed-dev  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

structure: $(BIN)/python  ## count modules, chains of imports and lines, and check their limits
	@$(BIN)/python tools/structure.py

lock: $(BIN)/python  ## update requirements/ from pyproject.toml, with hashes
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
	@$(BIN)/python tools/locking.py $(BIN)/uv

generated: $(VENV)/.installed-dev  ## regenerate man pages, shell completions and docs/settings.md from the code
	PYTHONPATH=tools $(BIN)/python -m manpages.pages docs/man
	PYTHONPATH=tools $(BIN)/python -m completions src/netjumper/cli/completions
	PYTHONPATH=tools $(BIN)/python -m settings_reference docs/settings.md

clean:  ## remove all files that other targets made
	rm -rf $(VENV) .bench .fuzz .soak .ci-venvs .ci-tools build dist .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "netjumper needs Python 3.11 or newer; name one: make PYTHON=python3.13"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is missing; on Debian: apt install python3-venv"; rm -rf $(VENV); exit 1; }

$(VENV)/.installed: $(BIN)/python pyproject.toml $(LOCKED)/run.txt
	@echo "installing netjumper and what it needs into $(VENV) ..."
	@$(INSTALL) -r $(LOCKED)/run.txt
	@$(INSTALL_SOURCE)
	@touch $@

$(VENV)/.installed-dev: $(BIN)/python pyproject.toml $(wildcard $(LOCKED)/*.txt)
	@echo "installing netjumper and what its development needs into $(VENV) ..."
	@$(INSTALL) -r $(LOCKED)/run.txt -r $(LOCKED)/test.txt -r $(LOCKED)/lint.txt
	@$(INSTALL_SOURCE)
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-fuzz: $(BIN)/python pyproject.toml $(LOCKED)/fuzz.txt
	@$(INSTALL) -r $(LOCKED)/fuzz.txt
	@$(INSTALL_SOURCE)
	@touch $@ $(VENV)/.installed
