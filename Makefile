# `make demo` and `make test` set themselves up: Python 3.11+ with its venv module is all they need.
PYTHON ?= python3
VENV   := .venv
BIN     = $(abspath $(VENV))/bin
READY  := $(VENV)/.ready
OPT    := /opt/docker-proxy-agent
# Side by side, one at a time to whoever is free; how many: tests/conftest.py. Without these, pytest runs one by one.
PYTEST := $(BIN)/pytest --numprocesses=auto --dist=load --maxschedchunk=1
LINK   := /usr/local/bin/docker-proxy-agent
SHARED := /usr/local/share
SOURCES := agent debian docs generate requirements systemd tests CHANGELOG.md CONTRIBUTING.md LICENSE MANIFEST.in Makefile \
	README.md SECURITY.md config.example.toml pyproject.toml
PYTHONS ?= 3.11 3.12 3.13 3.14
TRACES := $(OPT) /etc/systemd/system/docker-proxy-agent.service /var/lib/docker-proxy-agent /etc/docker-proxy-agent/dockerd.env
COMMA  := ,
# Of what is built: the last commit's, or where there is none the one that the sources came with.
EPOCH   = $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md))
KEPT   := /etc/docker-proxy-agent /var/log/docker-proxy-agent

# Tests start hundreds of Pythons: where the environment forbids to keep bytecode, each would compile everything again.
test check test-machine: export PYTHONDONTWRITEBYTECODE =

# The tests are compiled, once, where else every worker would do it at the same time.
COMPILE = $(BIN)/pytest --collect-only -qq $(1) >/dev/null 2>&1
LINT    = $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

.PHONY: demo test check lint docs picture man completions format test-machine bench deb lock wheelhouse dist release install uninstall clean

demo: $(READY)
	$(BIN)/docker-proxy-agent demo

# Lint needs one core.
test: $(READY)
	$(call COMPILE,) & { $(LINT); }; is_clean=$$?; wait; exit $$is_clean
	$(PYTEST)

# Every test, but less of what a test tries many times (tests/share.py): those alone take minutes. The loopback tests mostly
# wait. Beside them are lint and the pure ones, which one process runs with half of the work of several; what these say is
# shown first.
BESIDE := $(VENV)/loopback.log
check: export SHARE ?= 10
check: $(READY)
	@{ test -d tests/loopback/__pycache__ || $(call COMPILE,tests/loopback); \
		exec $(PYTEST) $(if $(MAKE_TERMOUT),--color=yes) tests/loopback; } >$(BESIDE) 2>&1 & beside=$$!; \
	{ $(LINT); } || { kill $$beside; exit 1; }; \
	$(BIN)/pytest tests/pure; is_clean=$$?; \
	tail --lines=+1 --follow --sleep-interval=0.2 --pid=$$beside $(BESIDE); wait $$beside && exit $$is_clean

lint: $(READY)
	$(LINT)

# The picture of the house in docs/architecture.md, drawn from the imports; the table of events and the schema of records.
docs: $(READY)
	$(BIN)/python -m tests.house
	$(BIN)/python -m tests.audit_table
	$(BIN)/docker-proxy-agent audit schema >docs/audit.schema.json

# The pictures of the demo in README.md, of what it prints.
picture: $(READY)
	$(BIN)/python -m tests.picture

# Below build/share, as below /usr/share:
#   man/man1/docker-proxy-agent.1, man/man5/docker-proxy-agent.5
#   bash-completion/completions/docker-proxy-agent, zsh/site-functions/_docker-proxy-agent,
#   fish/vendor_completions.d/docker-proxy-agent.fish
man completions: $(READY)
	SOURCE_DATE_EPOCH=$(EPOCH) $(BIN)/python -m generate.$@ build/share

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

# The .deb, in build/deb. Needs the Debian packages debhelper and dh-python; VERSION=… gives it another version.
deb: man completions
	SOURCE_DATE_EPOCH=$(EPOCH) debian/build build/deb

# In dist/, sdist and wheel: the same sources make the same bytes, whoever makes them and when. From a copy, because setuptools
# takes into the sdist what an earlier one left here; packed again, because it leaves owners and times in it.
BUILD   = $(BIN)/python -c 'import sys, setuptools.build_meta as made; getattr(made, sys.argv[1])(sys.argv[2])'
dist: $(READY)
	rm -rf dist && umask 022 && mkdir dist && work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && \
	export SOURCE_DATE_EPOCH=$(EPOCH) && \
	mkdir "$$work/source" && cp -R $(wildcard $(SOURCES)) "$$work/source" && \
	(cd "$$work/source" && $(BUILD) build_sdist .. >"$$work/log") && \
	tar -xzf "$$work"/*.tar.gz -C "$$work/source" --one-top-level=sdist && cd "$$work/source/sdist" && \
	name=$$(echo *) && chmod -R u=rwX,go=rX "$$name" && \
	tar --sort=name --mtime=@$$SOURCE_DATE_EPOCH --owner=0 --group=0 --numeric-owner --format=ustar -cf - "$$name" | \
		gzip -9n >"$(CURDIR)/dist/$$name.tar.gz" && \
	cd "$$name" && $(BUILD) build_wheel "$(CURDIR)/dist" >"$$work/log"

# What docs/releasing.md publishes: dist/ with the .deb, and the checksums of all of it.
release: $(READY)
	$(BIN)/python -m generate.release
	rm -rf build/deb
	$(MAKE) dist deb
	cp build/deb/*.deb dist
	cd dist && sha256sum -- * >SHA256SUMS && cat SHA256SUMS

# Run, not looked at: after an upgrade of the system's Python its files are all there, and none of them is found.
# -I: nothing of the checkout is imported instead.
WORKS  := $(OPT)/bin/python -I -c 'import pip, agent.service.service' 2>/dev/null
# Of PYTHON: what Debian has without its package for venv has no ensurepip.
USABLE  = $(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo 'make: $(PYTHON) is not Python 3.11 or newer with its venv module. Name one: make $(MAKECMDGOALS) PYTHON=/usr/bin/python3.11' >&2; \
	echo 'Debian and Ubuntu have the module in a package of its own: sudo apt install python3-venv' >&2; exit 1; }
# For everybody, whatever root keeps to itself: the relay runs as a user of its own, and `status` as whoever asks.
OPEN   := umask 022
ANEW   := { $(OPEN) && $(PYTHON) -m venv --clear $(OPT); }
PIP    := $(OPT)/bin/pip install --quiet --disable-pip-version-check --no-cache-dir
# Without a network: from the folder that `make wheelhouse` filled on another machine.
GET     = $(PIP) $(if $(WHEELHOUSE),--no-index --find-links='$(WHEELHOUSE)') --require-hashes --no-deps \
	--no-build-isolation --use-pep517
# Beside the package: its units would be hidden, and its state removed.
NO_DEB  = test ! -e /usr/lib/systemd/system/docker-proxy-agent.service || { \
	echo 'make $@: the package docker-proxy-agent is installed. Remove it first: sudo apt remove docker-proxy-agent' >&2; exit 1; }
# Below SHARED, what `make man completions` makes; and the folders that may have been made for it.
PAGES  := man/man1/docker-proxy-agent.1 man/man5/docker-proxy-agent.5 bash-completion/completions/docker-proxy-agent \
	zsh/site-functions/_docker-proxy-agent fish/vendor_completions.d/docker-proxy-agent.fish
FOLDERS := man/man1 man/man5 bash-completion/completions bash-completion zsh/site-functions zsh fish/vendor_completions.d fish
# Built from a copy: nothing of root's is left in the checkout of a user. By what is pinned alone: what builds, and what
# makes the pages, each in a folder that goes; what the product needs; the product.
FILL    = $(OPEN) && copy=$$(mktemp -d) && trap 'rm -rf "$$copy"' EXIT && \
	cp -R agent generate systemd docs pyproject.toml README.md LICENSE config.example.toml "$$copy" && { \
		$(GET) --no-compile --target "$$copy/tools" --requirement requirements/build.txt && export PYTHONPATH="$$copy/tools" && \
		$(GET) --no-compile --target "$$copy/pages" --requirement requirements/pages.txt && \
		$(GET) --requirement requirements/run.txt || { \
			echo 'make $@: pip could not get what is needed. Behind a proxy: sudo --preserve-env=https_proxy make $@' >&2; \
			echo 'Without a network: make wheelhouse on another machine, then make $@ WHEELHOUSE=FOLDER' >&2; false; }; } && \
	$(PIP) --no-index --no-deps --no-build-isolation "$$copy" && \
	cd "$$copy" && export PYTHONPATH="$$copy/pages" && $(OPT)/bin/python -m generate.man share && $(OPT)/bin/python -m generate.completions share && \
	mkdir -p $(SHARED) && cp -R share/. $(SHARED)

# What `make install` fetches, for the Pythons named, into a folder: for a machine of the same kind that has no network.
wheelhouse:
	tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && $(PYTHON) -m venv "$$tools" && \
	get() { "$$tools/bin/pip" download --quiet --disable-pip-version-check --require-hashes --no-deps \
		--dest '$(or $(WHEELHOUSE),wheelhouse)' "$$@"; } && \
	get --requirement requirements/build.txt --requirement requirements/pages.txt && \
	for python in $(PYTHONS); do get --python-version $$python --requirement requirements/run.txt || exit 1; done

# The newest of everything that `make install` and the tests need, with hashes; the tests run with what is installed. One file is for every Python: where they need different
# versions, it says so.
lock:
	tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && $(PYTHON) -m venv "$$tools" && \
	"$$tools/bin/pip" install --quiet --disable-pip-version-check uv && \
	compile() { "$$tools/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
		--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' --upgrade "$$@"; } && \
	compile pyproject.toml --output-file requirements/run.txt && \
	compile pyproject.toml --extra dev --constraint requirements/run.txt --output-file requirements/dev.txt && \
	for name in build pages; do compile requirements/$$name.in --output-file requirements/$$name.txt || exit 1; done

# As root. Again is an upgrade. WHEELHOUSE=folder: without a network.
install:
	@test "$$(id -u)" = 0 || { echo 'make install: must be run as root. Try: sudo make install' >&2; exit 1; }
	@$(NO_DEB)
	@test -z '$(WHEELHOUSE)' || test -d '$(WHEELHOUSE)' || { \
		echo 'make install: $(WHEELHOUSE): no such folder. To fill it, on a machine with a network: make wheelhouse' >&2; exit 1; }
	@$(USABLE)
	@$(PYTHON) -B -m agent.system.no_exec systemd/docker-proxy-agent.service
	@echo 'environment  $(OPT), with what requirements/ pins'
	@$(WORKS) || $(ANEW)
	@$(FILL)
	@ln -sfT $(OPT)/bin/docker-proxy-agent $(LINK)
	@$(LINK) install

# Users with an instance of their own, one a line. Nobody has one by code that does not work.
WHOSE  := $(OPT)/bin/python -I -c 'import asyncio; from agent.cli.install.own_instances import own_instances as users; \
	print(*asyncio.run(users()), sep="\n")' 2>/dev/null
# As root. PURGE=1 removes the policy and the audit log, too, also later; NOW=1 restarts Docker even if containers run;
# FORCE=1 removes the code even if users have instances that run from it.
# Restoring needs an environment that works; one that does not is recreated first.
uninstall:
	@test "$$(id -u)" = 0 || { echo 'make uninstall: must be run as root. Try: sudo make uninstall' >&2; exit 1; }
	@$(NO_DEB)
	@found=; for trace in $(TRACES); do test ! -e "$$trace" || found=1; done; if test -n "$$found"; then \
		$(WORKS) || { echo '$(OPT) does not work with this Python: recreated' && $(ANEW) && $(FILL); } || { \
			echo 'make uninstall: nothing is restored or removed. To do it yourself: docs/troubleshooting.md' >&2; exit 1; }; \
		$(OPT)/bin/docker-proxy-agent uninstall $(if $(PURGE),--purge) $(if $(NOW),--now); \
	else \
		echo 'not installed: there is nothing to restore'; \
		for folder in $(KEPT); do \
			test ! -e "$$folder" || $(if $(PURGE),{ rm -rf "$$folder" && echo "removed      $$folder"; },echo "kept         $$folder; to remove it$(COMMA) too: sudo make uninstall PURGE=1"); \
		done; \
	fi
	@own=$$($(if $(FORCE),:,$(WHOSE) || :)); \
	if test -n "$$own"; then \
		echo "make uninstall: $(OPT) is kept: instances of users run from it. Run, then make uninstall again:" >&2; \
		echo "$$own" | while read -r user; do echo "    sudo -u $$user docker-proxy-agent uninstall --user" >&2; done; \
		echo 'Or, whatever becomes of these: sudo make uninstall FORCE=1' >&2; exit 1; \
	fi
	@test ! -e $(OPT) || { rm -rf $(OPT) && echo 'removed      $(OPT)'; }
	@rm -f $(LINK) $(addprefix $(SHARED)/,$(PAGES))
	@cd $(SHARED) && rmdir --ignore-fail-on-non-empty $(FOLDERS) 2>/dev/null || true

# The tests' packages are pinned, too: what somebody releases tonight fails nobody's tests tomorrow.
$(READY): pyproject.toml requirements/build.txt requirements/dev.txt
	@$(USABLE)
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --require-hashes --requirement requirements/build.txt --requirement requirements/dev.txt || { \
		echo 'make: pip could not get what is needed. Behind a proxy, name it: https_proxy=http://proxy.example:3128 make $(MAKECMDGOALS)' >&2; \
		exit 1; }
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
