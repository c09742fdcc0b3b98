# Every target makes the environment it needs. Nothing but Python >= 3.11, make and the package
# registries that pip is configured for is expected to be there.
#
#   make demo                      another Python:  make demo PYTHON=python3.13

PYTHON ?=
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RPS ?= 1000
DURATION ?= 30s
# Half of the tests wait for sockets and processes; more at a time than this disturb those that measure.
JOBS ?= 2
PERPDEX_DIR ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-quick test-lowest test-beside faults faults-tcp journal-crashes matching conservation \
  mutants check format bench bench-signing bench-fills interop perpdex screenshots lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '  make %-15s %s\n' "$$name" "$$text"; done

# The first of the candidates that is new enough; a sentence instead of a traceback when there is none.
define find_python
	found=; for candidate in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11 python); do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then found="$$candidate"; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "nadows needs Python 3.11 or newer, and $(or $(PYTHON),python3) is not." >&2; \
	  echo "Install one, or name it: make $(firstword $(MAKECMDGOALS)) PYTHON=/path/to/python3.13" >&2; exit 1; \
	fi
endef

# $(call make_environment,DIRECTORY)
define make_environment
	$(find_python); \
	"$$found" -m venv $(1) || { echo "$$found cannot make virtual environments; install its venv module (Debian: python3-venv)." >&2; exit 1; }
endef

PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

# --no-build-isolation: the build backend comes out of the lock too, hashed like everything else.
$(READY): requirements-dev.txt pyproject.toml
	@echo "preparing $(VENV) ..." >&2
	@$(call make_environment,$(VENV))
	@$(BIN)/python $(PIP_INSTALL) --require-hashes --requirement requirements-dev.txt
	@$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)  ## 1000 signed orders a second on the embedded venue, for 10 s (a slow machine only warns: --lenient)
	$(BIN)/nadows bench --rps 1000 --duration 10s --table --lenient

bench: $(READY)  ## a longer run; RPS=1000 DURATION=30s
	$(BIN)/nadows bench --rps $(RPS) --duration $(DURATION) --table

test: $(READY)  ## all tests, then the coverage gates
	$(BIN)/python -m pytest --quiet --numprocesses $(JOBS) --cov --cov-report=
	$(BIN)/python -m tests.coverage_gate

test-quick: $(READY)  ## the tests that take less than a second each, without coverage
	$(BIN)/python -m pytest --quiet -m "not slow"

faults: $(READY)  ## 1,000 seeded runs with faults: no fill lost or doubled, no wrong book, no wrong order
	$(BIN)/python -m tests.faults.campaign

faults-tcp: $(READY)  ## 300 faults on real sockets under load, some minutes: cut, reset, stalled, swallowed, refused
	$(BIN)/python -m tests.faults.sockets

journal-crashes: $(READY)  ## kill a trading client 50 times (SIGKILL): its journal loses and doubles nothing
	$(BIN)/python -m tests.journal.crashes --kills 50

matching: $(READY)  ## a million random orders through the venue's matcher and a simple one: every trade and book equal
	$(BIN)/python -m tests.venue.reference_matcher

conservation: $(READY)  ## a million random operations at the venue: no unit of money lost or made
	$(BIN)/python -m tests.venue.conservation

mutants: $(READY)  ## break the client in every known way, and see that the campaign notices
	$(BIN)/python -m tests.faults.mutants

check: $(READY)  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)  ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The bounds that pyproject.toml promises, each at its lowest, beside today's test tools.
$(VENV)-lowest/.ready: requirements-lowest.txt pyproject.toml
	@echo "preparing $(VENV)-lowest ..." >&2
	@$(call make_environment,$(VENV)-lowest)
	@$(VENV)-lowest/bin/python $(PIP_INSTALL) --constraint requirements-lowest.txt --editable '.[fast,dev]' nado-protocol
	@touch $@

test-lowest: $(VENV)-lowest/.ready  ## the quick tests with the oldest dependencies we promise to work with
	$(VENV)-lowest/bin/python -m pytest --quiet -m "not slow and not oracle" -W default

# One environment with the official SDK and with what the bots of perp-dex-tools import: a user may have all three.
$(VENV)-beside/.ready: requirements-beside.txt pyproject.toml
	@echo "preparing $(VENV)-beside ..." >&2
	@$(call make_environment,$(VENV)-beside)
	@$(VENV)-beside/bin/python $(PIP_INSTALL) --constraint requirements-beside.txt --editable '.[dev]' nado-protocol python-dotenv pytz tenacity
	@touch $@

test-beside: $(VENV)-beside/.ready  ## nadows in one environment with the official SDK: vectors, drop-in, and the SDK itself
	$(VENV)-beside/bin/python -m pip check
	$(VENV)-beside/bin/python -m pytest --quiet -W default tests/signing tests/perpdex tests/interop -m "not oracle" -k "not public"
	$(VENV)-beside/bin/python -m tests.interop --sdk-python $(VENV)-beside/bin/python

perpdex: $(VENV)-beside/.ready  ## the bots of perp-dex-tools over the drop-in; PERPDEX_DIR=a checkout of it
	$(VENV)-beside/bin/python -m tests.perpdex.run_public --checkout '$(PERPDEX_DIR)'

# The official SDK needs older libraries than ours, so it lives in an environment of its own.
$(VENV)-sdk/.ready: requirements-sdk.txt
	@echo "preparing $(VENV)-sdk ..." >&2
	@$(call make_environment,$(VENV)-sdk)
	@$(VENV)-sdk/bin/python $(PIP_INSTALL) --require-hashes --requirement requirements-sdk.txt
	@touch $@

bench-signing: $(READY) $(VENV)-sdk/.ready  ## one order built and signed: ours beside the official SDK
	$(BIN)/python -m nadows.bench.signing --sdk-python $(VENV)-sdk/bin/python

bench-fills: $(READY) $(VENV)-sdk/.ready  ## how soon a fill is noticed: our events beside polling with the official SDK
	$(BIN)/python -m nadows.bench.fills --sdk-python $(VENV)-sdk/bin/python

interop: $(READY) $(VENV)-sdk/.ready  ## the unmodified official SDK against `nadows serve`
	$(BIN)/python -m tests.interop --sdk-python $(VENV)-sdk/bin/python

screenshots: $(READY)  ## the pictures of the README, from real runs
	$(BIN)/python -m docs.screenshots

# Made with the oldest Python we support, so that its back-ports are in; the newer ones skip them.
$(VENV)-lock/.ready: Makefile
	@$(call make_environment,$(VENV)-lock)
	@$(VENV)-lock/bin/python $(PIP_INSTALL) pip-tools
	@touch $@

PIP_COMPILE = CUSTOM_COMPILE_COMMAND="make lock" $(VENV)-lock/bin/pip-compile --quiet $(UPGRADE) \
  --generate-hashes --allow-unsafe --strip-extras --annotation-style=line \
  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options

lock: $(VENV)-lock/.ready  ## renew the locks (UPGRADE=--upgrade for newer versions)
	$(PIP_COMPILE) --extra fast --extra dev --output-file requirements-dev.txt pyproject.toml
	$(PIP_COMPILE) --output-file requirements-sdk.txt requirements-sdk.in

clean:  ## remove environments and everything that runs leave behind
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-beside $(VENV)-sdk $(VENV)-lock
	rm -rf build dist .coverage .coverage.* htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
