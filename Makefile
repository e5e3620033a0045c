# Everything sets itself up: `make run` and `make test` need Python 3.11 or newer, make, and the network once.

PYTEST_FLAGS ?= -n 3 --dist worksteal --durations 15
VENV_PYTHON := .venv/bin/python

# What takes more than a moment: what needs other programs, starts some, or asks hundreds of generated requests, as
# tests/support/needs.py marks it.
NEEDS := postgresql or redis or browser or nginx or node or flow or process or generated

# Where a virtual environment thinks it lives, and on which Python; fails on a Python that is too old.
PROBE := import sys; assert sys.version_info >= (3, 11); print(sys.prefix, *sys.version_info[:2])
PIP_INSTALL := $(VENV_PYTHON) -m pip install --quiet --no-input --disable-pip-version-check --require-hashes
COMPILE := .venv/bin/uv pip compile --quiet --no-config --generate-hashes --python-version 3.11 \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(LOCK_FLAGS)

.PHONY: run house clients check test reliability bench ear ear-all lint lock clean venv packages dev-packages ear-packages

## run: start the service (the first time also: virtual environment, packages, .env with secrets)
run: packages .env
	@exec $(VENV_PYTHON) app.py

## test: every check, then every test
test: lint
	$(VENV_PYTHON) -m pytest $(PYTEST_FLAGS) --ignore tests/reliability

## check: style, format, types and the tests that need no other program, in a minute and a half
check: lint
	$(VENV_PYTHON) -m pytest -n 3 --dist worksteal -q -m "not ($(NEEDS))" --ignore tests/reliability --ignore tests/http/test_schemathesis.py

## reliability: the harness that kills at random and plays each fault, then every test that judges the clock, alone
reliability: dev-packages
	$(VENV_PYTHON) -m pytest tests/reliability
	$(VENV_PYTHON) -m pytest --time

## lint: style, format and types
lint: dev-packages
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m mypy

## bench: measure the speed beside bare Flask and others, and write tools/benchmarks/README.md (BENCH=short: a minute)
bench: dev-packages
	$(VENV_PYTHON) tools/benchmarks/run.py $(BENCH)

## ear: how well codes are understood over a telephone line, by a recogniser: writes docs/ear.md (EAR=short: few codes)
ear: ear-packages
	.venv-ear/bin/python -m tools.ear $(EAR)

## ear-all: the same with other systems' ways to read a code, changes of ours, and more languages
ear-all: ear-packages
	.venv-ear/bin/python -m tools.ear all

## house: how large the code is, and whether its imports point one way
house: dev-packages
	$(VENV_PYTHON) -m tools.house

## clients: build the packages of clients/ into dist/: a wheel for pip, a tarball for npm
clients: dev-packages
	rm -rf dist
	.venv/bin/uv build --quiet --offline --no-config --wheel --out-dir dist clients/python
	npm pack --silent --pack-destination dist ./clients/javascript
	@ls dist/*.whl dist/*.tgz

## lock: compile requirements*.txt from requirements*.in (newest versions: make lock LOCK_FLAGS=--upgrade)
lock: dev-packages
	$(COMPILE) --output-file requirements.txt requirements.in
	$(COMPILE) --output-file requirements-dev.txt requirements-dev.in
	$(COMPILE) --output-file tools/ear/requirements-ear.txt tools/ear/requirements-ear.in

## clean: remove what the checks and installs leave; .env and instance/ stay
clean:
	rm -rf .venv .venv-ear dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.env: | packages
	@$(VENV_PYTHON) -m letstalk.config.first_run

# A virtual environment that was moved, copied or made by a Python that is gone half works: it is made anew.
venv:
	@if [ ! -f .venv/made-as ] || [ "$$($(VENV_PYTHON) -c '$(PROBE)' 2>/dev/null)" != "$$(cat .venv/made-as)" ]; then \
		for python in $(PYTHON) python3.11 python3 none; do \
			if $$python -c '$(PROBE)' >/dev/null 2>&1; then break; fi; \
		done; \
		if [ $$python = none ]; then echo "Let's Talk needs Python 3.11 or newer (make PYTHON=/path/to/it)" >&2; exit 1; fi; \
		echo "Making .venv"; \
		rm -rf .venv && $$python -m venv .venv && $(VENV_PYTHON) -c '$(PROBE)' >.venv/made-as; \
	fi

# The installed list is kept beside the packages, so that nothing is fetched while it is the same.
packages: venv
	@cmp -s requirements.txt .venv/requirements.txt || { echo "Installing requirements.txt" && \
		$(PIP_INSTALL) -r requirements.txt && cp requirements.txt .venv/requirements.txt; }

dev-packages: packages
	@cmp -s requirements-dev.txt .venv/requirements-dev.txt || { echo "Installing requirements-dev.txt" && \
		$(PIP_INSTALL) -r requirements-dev.txt && cp requirements-dev.txt .venv/requirements-dev.txt; }

# The ear hears the product's own sentences, which need no package.
ear-packages: venv
	@cmp -s tools/ear/requirements-ear.txt .venv-ear/requirements-ear.txt || { \
		echo "Installing tools/ear/requirements-ear.txt" && rm -rf .venv-ear && $(VENV_PYTHON) -m venv .venv-ear && \
		.venv-ear/bin/python -m pip install --quiet --no-input --disable-pip-version-check --require-hashes \
			-r tools/ear/requirements-ear.txt && cp tools/ear/requirements-ear.txt .venv-ear/; }
