# `make run` starts everything on this machine, `make test` tests everything; both install what they need first.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

ROOT := $(filter 0,$(shell id -u))
PREFIX ?= $(shell scripts/place.sh)
VENV := $(PREFIX)/.venv
BUILD := $(PREFIX)/build
PYTHON := $(VENV)/bin/python
STATE ?= $(if $(ROOT),/var/lib/roadstead,$(CURDIR)/.roadstead)
PIP := $(PYTHON) -m pip --disable-pip-version-check --quiet install

# In its own checkout the package is used as it lies there; elsewhere it is installed, and again when a file changes.
SOURCES := pyproject.toml README.md LICENSE src/roadstead/__init__.py
ifeq ($(PREFIX),$(CURDIR))
install = $(PIP) -e '.[$(1)]'
else
install = $(PIP) '.[$(1)]' && $(PIP) --force-reinstall --no-deps .
SOURCES += $(shell find src -type f -not -path '*/__pycache__/*')
export PYTHONDONTWRITEBYTECODE := 1
endif

export RUFF_CACHE_DIR := $(BUILD)/ruff
export MYPY_CACHE_DIR := $(BUILD)/mypy
PYTEST := $(PYTHON) -m pytest -o cache_dir=$(BUILD)/pytest
# Tests of servers mostly wait: three at a time keep two cores busy.
SIDE_BY_SIDE := -n 3

.PHONY: help
help:
	@echo 'make run           start hub, proxy and outpost on this machine; ARGS="--port 9000" passes options on'
	@echo 'make run SYSTEM=slurm  the same with a Slurm cluster of its own to start servers on; needs root'
	@echo 'make status        what of it runs'
	@echo 'make down          end it, running servers too'
	@echo 'make test          everything: lint, manual, unit, real and browser tests on both JupyterHub lines'
	@echo 'make soak          faults at random for ten minutes, and outages that last longer than anybody waits'
	@echo 'make test-unit     the tests that do no input or output'
	@echo 'make lint          ruff and mypy'
	@echo 'make docs          the manual as HTML'
	@echo 'make bench NAME=x  one benchmark of bench/'
	@echo 'make screenshots   the pictures in README and manual, made by the browser tests'
	@echo 'make clean         remove what was built; your state folder stays'

# --- environments -----------------------------------------------------------------------------------------------------

.PHONY: packages-run packages-test
packages-run packages-test: packages-%:
	@scripts/packages.sh $*

$(PYTHON):
	@/usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Roadstead needs Python 3.11 or newer; /usr/bin/python3 is older.")'
	@echo "Making an environment in $(VENV)."
	@mkdir -p $(PREFIX)
	@/usr/bin/python3 -m venv $(VENV)
	@$(PIP) --upgrade 'pip>=25'

$(VENV)/.up $(VENV)/.dev: $(VENV)/.%: $(PYTHON) $(SOURCES)
	@echo "Installing Roadstead [$*] and what it needs."
	@$(call install,$*)
	@touch $@

$(PREFIX)/node_modules/.package-lock.json: $(wildcard src/roadstead/up/proxy/*.json)
	@echo "Installing the proxy."
	@$(PYTHON) -m roadstead.up.proxy_program $(PREFIX)
	@touch $@

.PHONY: proxy env-run env-test
proxy: $(VENV)/.up $(PREFIX)/node_modules/.package-lock.json
env-run: packages-run $(VENV)/.up $(PREFIX)/node_modules/.package-lock.json
env-test: packages-test $(VENV)/.dev $(PREFIX)/node_modules/.package-lock.json
	@command -v chromium >/dev/null || $(PYTHON) -m playwright install --with-deps chromium

# --- what people call -------------------------------------------------------------------------------------------------

.PHONY: run
ifeq ($(SYSTEM),slurm)
run: env-test
	@$(if $(ROOT),,sudo) $(PYTHON) -m tests.real.slurm.town
else ifneq ($(SYSTEM),)
run:
	@echo "There is no SYSTEM=$(SYSTEM); leave it out, or say SYSTEM=slurm." >&2; exit 1
else
run: env-run
	@exec $(VENV)/bin/roadstead up --state $(STATE) $(ARGS)
endif

.PHONY: status down
status down:
	@$(VENV)/bin/roadstead $@ --state $(STATE) $(ARGS)

.PHONY: lint
lint: packages-run $(VENV)/.dev
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/mypy

.PHONY: docs
docs: packages-run $(VENV)/.dev
	@$(PYTHON) -m sphinx -W --keep-going -q -b html -d $(BUILD)/doctrees docs $(BUILD)/docs
	@echo "The manual is in $(BUILD)/docs/index.html."

.PHONY: test-unit
test-unit: packages-run $(VENV)/.dev
	@$(PYTEST) tests/unit

$(BUILD)/hub55: $(VENV)/.dev
	@echo "Making an environment with JupyterHub 5.5."
	@mkdir -p $(BUILD)
	@$(PYTHON) -m nox --envdir $(PREFIX)/.nox --install-only -s hub55 >$(BUILD)/hub55.log 2>&1 || { cat $(BUILD)/hub55.log; exit 1; }
	@ln -sfn ../node_modules $(PREFIX)/.nox/node_modules
	@touch $@

.PHONY: test
ifdef ROOT
test: env-test lint docs $(BUILD)/hub55
	@$(PYTHON) -m nox --envdir $(PREFIX)/.nox -R -s hub55 -- -o cache_dir=$(BUILD)/pytest55 $(SIDE_BY_SIDE)
	@$(PYTEST) $(SIDE_BY_SIDE)
else
test:
	@echo 'The tests start servers of several accounts, so they need root: continuing with sudo.'
	@exec sudo $(MAKE) test
endif

.PHONY: soak
soak: env-test
	@$(PYTEST) -s tests/soak

.PHONY: bench
bench: env-test
	@test -f 'bench/$(NAME).py' || { echo 'Say which: make bench NAME=...; there are:' $$(basename -s .py bench/[a-z]*.py); exit 1; }
	@$(PYTHON) -m bench.$(NAME) $(ARGS)

.PHONY: screenshots
screenshots: env-test
	@ROADSTEAD_SCREENSHOTS=$(CURDIR)/docs/images $(PYTEST) tests/browser/test_pictures.py

.PHONY: clean
clean:
	rm -rf $(VENV) $(BUILD) $(PREFIX)/node_modules $(PREFIX)/.nox
