# Every command that people, hooks and CI use, defined once.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
SOURCES := pyproject.toml Makefile

.PHONY: help setup demo test check static suite format clean

help:  ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/.base: $(SOURCES)
	@echo "== setting up $(VENV) (about a minute, once)"
	test -x $(BIN)/python || $${PYTHON:-python3} -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24.1"
	$(BIN)/python -m pip install --progress-bar on --quiet -e ".[all]"
	touch $@

$(VENV)/.dev: $(VENV)/.base
	@echo "== adding what the tests need"
	$(BIN)/python -m pip install --quiet "torch==2.13.0"
	$(BIN)/python -m pip install --quiet -e ".[all,image,train,dev]"
	touch $@

setup: $(VENV)/.dev  ## set up .venv for the demo and the tests

demo: $(VENV)/.base  ## fetch the default weights and make examples/launch-kit
	$(BIN)/bottega pull --default
	$(BIN)/bottega make examples/launch-kit/brief.toml --out out/launch-kit --yes
	@echo
	@echo "Open out/launch-kit/index.html in a browser."
	@echo "Check any file:  $(BIN)/bottega verify out/launch-kit/hero.png"

check: static  ## format, lint, types, imports and unit tests
	$(BIN)/pytest -q -n auto --dist loadfile tests/unit tests/properties tests/architecture

test: $(VENV)/.dev  ## everything, with real engines
	$(BIN)/bottega pull --default small potion-base-8m use-multilingual
	$(MAKE) --no-print-directory -j2 static suite

static: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright

suite: $(VENV)/.dev
	timeout --foreground -s INT -k 60 75m $(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile --durations=30  # a hang ends with its names

format:  ## rewrite the code as the formatter wants it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove what make made here; weights and runs stay
	rm -rf $(VENV) out build dist
