# `make demo` and `make test` set themselves up: Python 3.11+ with its venv module is all they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
OPT    := /opt/docker-proxy-agent
# Side by side, one at a time to whoever is free; how many: tests/conftest.py. Without these, pytest runs one by one.
PYTEST := $(BIN)/pytest --numprocesses=auto --dist=load --maxschedchunk=1
LINK   := /usr/local/bin/docker-proxy-agent

.PHONY: demo test check lint format test-machine bench install uninstall clean

demo: $(READY)
	$(BIN)/docker-proxy-agent demo

test: $(READY) lint
	$(PYTEST)

check: $(READY) lint
	$(PYTEST) tests/pure tests/loopback

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
	$(PYTEST) tests/machine

# As root, like the machine tests. Measures for some twenty minutes and writes docs/measurements.md; SUBJECTS="roams idle"
# only prints those.
bench: $(READY)
	tests/machine/prepare
	$(BIN)/python -m tests.bench $(SUBJECTS)

# As root. Again is an upgrade. Built from a copy: nothing of root's is left in the checkout of a user.
install:
	@test "$$(id -u)" = 0 || { echo 'make install: must be run as root. Try: sudo make install' >&2; exit 1; }
	@$(PYTHON) -B -m agent.install.place systemd/docker-proxy-agent.service
	test -x $(OPT)/bin/pip || $(PYTHON) -m venv $(OPT)
	copy=$$(mktemp -d) && trap 'rm -rf "$$copy"' EXIT && \
	cp -R agent systemd pyproject.toml README.md config.example.toml "$$copy" && \
	$(OPT)/bin/pip install --quiet --disable-pip-version-check --no-cache-dir "$$copy"
	ln -sfT $(OPT)/bin/docker-proxy-agent $(LINK)
	$(LINK) install

# As root. PURGE=1 removes the policy and the audit log, too; NOW=1 restarts Docker even if containers run.
uninstall:
	@test "$$(id -u)" = 0 || { echo 'make uninstall: must be run as root. Try: sudo make uninstall' >&2; exit 1; }
	test ! -x $(LINK) || $(LINK) uninstall $(if $(PURGE),--purge) $(if $(NOW),--now)
	rm -rf $(OPT)
	rm -f $(LINK)

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
