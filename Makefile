# Every target does the set-up it needs, and nothing when nothing changed.
#
#   make paint PROMPT="a cat on a rooftop at sunset"   a picture on disk, its path printed
#   make serve                                         the studio in a browser
#   make test                                          lint, types, tests
#
# PYTHON=...  another interpreter, 3.11 or newer     ARGS=...  further options of prima or pytest

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

# The prompt goes to the command through the environment, untouched: whatever quotes, dollars or semicolons
# it holds, neither make nor the shell reads them.
override PROMPT := $(value PROMPT)
export PROMPT

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
TORCH := $(shell sed -n 's/^torch==/&/p' constraints.txt)
SOURCES := src tests $(wildcard benchmarks)
# Two workers share the tests where there are two cores. Each computes with one thread and sleeps while it waits,
# so that they do not fight for a core.
PYTEST := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n logical --maxprocesses 2

.PHONY: help paint serve setup setup-dev test test-slow coverage lint types fix docs site packages clean

help:
	@sed -n '/^$$/q; s/^# \{0,1\}//p' Makefile

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Alla Prima needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)." \
			"Install one, or name it: make PYTHON=/path/to/python3.11 ..." >&2; exit 2; }
	@echo "making $(VENV) with $$($(PYTHON) --version)" >&2
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python could not make $(VENV); on Debian and Ubuntu it needs the package python3-venv." >&2; exit 2; }

# torch comes first and by its exact version: that is what lets pip take a CPU build where one is offered.
$(VENV)/.runtime: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing what painting needs (a few minutes the first time)" >&2
	@$(PIP) install --constraint constraints.txt "$(TORCH)"
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.studio: $(VENV)/.runtime
	@echo "installing what the studio's server needs" >&2
	@$(PIP) install --constraint constraints.txt --editable ".[studio]"
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@echo "installing what the laboratory and the tests need" >&2
	@$(PIP) install --constraint constraints.txt --editable ".[lab,studio,dev]"
	@if [ -e .git ] && command -v git >/dev/null; then git config core.hooksPath .githooks; fi
	@touch $@

$(VENV)/.site: $(VENV)/.runtime
	@$(PIP) install --constraint constraints.txt --editable ".[docs]"
	@touch $@

setup: $(VENV)/.runtime  ## what painting needs
setup-dev: $(VENV)/.dev  ## and what the laboratory and the tests need

paint: $(VENV)/.runtime
	@test -n "$$PROMPT" || { echo 'Say what to paint: make paint PROMPT="a cat on a rooftop at sunset"' >&2; exit 2; }
	@$(BIN)/prima paint $(ARGS) -- "$$PROMPT"

serve: $(VENV)/.studio
	@$(BIN)/prima serve $(ARGS)

test: lint types
	$(PYTEST) -m "not slow" $(COVERAGE) $(ARGS)

test-slow: $(VENV)/.dev
	$(PYTEST) $(ARGS)

# What processes of their own run (the commands that a test starts, a second training process) is not counted.
coverage: COVERAGE := --cov --cov-report=
coverage: test  ## `make test`, then the share of lines that ran, folder by folder
	@$(BIN)/python tests/coverage_table.py

lint: $(VENV)/.dev
	$(BIN)/ruff format --check --quiet $(SOURCES)
	$(BIN)/ruff check --quiet $(SOURCES)

types: $(VENV)/.dev
	$(BIN)/mypy

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

site: $(VENV)/.site  ## the documents as a site, in build/site
	$(BIN)/zensical build --strict --clean

docs: $(VENV)/.dev
	$(BIN)/python -m typer allaprima.cli.app utils docs --name prima --title Commands \
		--output docs/reference/commands.md

packages: $(BIN)/python  ## a wheel and a source archive, in dist/
	@$(PIP) install "$$(sed -n 's/^requires = \["\(.*\)"\]/\1/p' pyproject.toml)"
	@$(BIN)/python -m hatchling build

clean:
	rm -rf $(VENV) .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
