# `make demo` and `make test` set themselves up: Python 3.11+ with its venv module is all they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo test check lint format test-machine clean

demo: $(READY)
	$(BIN)/docker-proxy-agent demo

test: $(READY) lint
	$(BIN)/pytest

check: $(READY) lint
	$(BIN)/pytest tests/pure tests/loopback

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Installs the Debian packages that the machine tests need (root), then runs them.
test-machine: $(READY)
	tests/machine/prepare
	$(BIN)/pytest tests/machine

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
