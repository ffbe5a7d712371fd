# `make` shows the targets: each line of the help stands behind its target, after two number signs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
# Tests mostly wait, so more workers than cores are worth it. 0: one test after the other, for a debugger.
TEST_WORKERS ?= 4
PYTEST_OPTIONS := --quiet --rooms --numprocesses $(TEST_WORKERS)
COVERAGE_FOLDER := $(CURDIR)/$(VENV)/coverage
COVERAGE := COVERAGE_FOLDER=$(COVERAGE_FOLDER) $(BIN)/coverage
# MEASURE=yes: the tests record which lines of the two packages they execute, also in the programs that they start.
PYTEST := $(if $(MEASURE),$(COVERAGE) run --rcfile tests/coverage.ini -m pytest,$(BIN)/pytest) $(PYTEST_OPTIONS)
DEMO_ARGS ?=
AXE_VERSION := 4.14.1
SOAK_SECONDS ?= 600
SOAK_WORKERS ?= 0

# Where a shell forbids to keep bytecode, each process of the tests compiles all of them anew, and each program its modules.
unexport PYTHONDONTWRITEBYTECODE

CHECKS := check-types check-lint check-imports check-security check-words

.PHONY: help setup demo recording test test-frameworks browser screenshots coverage coverage-tests soak experiments-long check $(CHECKS) compile-tests format reference test-postgresql build hashes clean

help:  ## Show these targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.installed  ## Create .venv with both programs, the extras and the tools of developers.

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "setup: $(PYTHON) is older than Python 3.11; name a newer one: make setup PYTHON=python3.12" >&2; exit 1; }
	@echo "setup: creating $(VENV) and installing CentralCloud into it (about 700 MB, a minute or two on the first run)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[daemon,embedded,jwt,prices,deploy,release,clients,dev]'
	@touch $@
	@echo "setup: done; $(BIN)/centralcloud and $(BIN)/instance-agent are ready"

demo: setup  ## Watch a simulated fleet learn, here and in a browser, until Ctrl-C; DEMO_ARGS='--rule threshold' for the other rule.
	@$(BIN)/centralcloud demo --dashboard $(DEMO_ARGS)

recording: setup  ## Record the demo as docs/images/demo.svg, which heads the README (90 seconds).
	@$(BIN)/python tools/record_demo.py

test: setup  ## Run the checks and every test; PYTEST_ARGS='-k word' for some.
	@started=$$(date +%s); $(MAKE) --no-print-directory check CHECKS='$(CHECKS) compile-tests' \
	  && echo "tests:" && $(PYTEST) $(PYTEST_ARGS) \
	  && seconds=$$(($$(date +%s) - started)) && printf 'test: all passed, %d:%02d in all\n' $$((seconds / 60)) $$((seconds % 60))

# The venv of the frameworks stands on .venv: it has only what they add, and what they need in an older version.
$(VENV)/frameworks/.installed: $(VENV)/.installed constraints-frameworks.txt
	@echo "test-frameworks: installing langchain-openai and litellm into $(VENV)/frameworks (330 MB, about a minute)"
	@$(PYTHON) -m venv --clear $(VENV)/frameworks
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > "$$($(VENV)/frameworks/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"
	@$(VENV)/frameworks/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-frameworks.txt --editable '.[frameworks]'
	@touch $@

test-frameworks: $(VENV)/frameworks/.installed  ## Test langchain-openai and litellm as clients of the gateway.
	@$(VENV)/frameworks/bin/python -m pytest $(PYTEST_OPTIONS) $(PYTEST_ARGS) \
	  tests/integration/instance_agent/clients/test_langchain.py tests/integration/instance_agent/clients/test_litellm.py

# axe-core checks the accessibility of the pages. Where one of the two cannot be had, its tests are skipped.
$(VENV)/browser/.installed: $(VENV)/.installed constraints.txt
	@echo "browser: installing playwright, and axe-core $(AXE_VERSION) from npm"
	@mkdir -p $(VENV)/browser
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[browser]' \
	  || echo "browser: no playwright; the tests are skipped"
	@cd $(VENV)/browser && npm pack --silent axe-core@$(AXE_VERSION) > /dev/null && tar -xzf axe-core-$(AXE_VERSION).tgz package/axe.min.js \
	  || echo "browser: no axe-core; the tests of accessibility are skipped"
	@touch $@

browser: $(VENV)/browser/.installed  ## Test the dashboard in Debian's Chromium (a minute or two).
	@$(BIN)/pytest --quiet --browser tests/browser $(PYTEST_ARGS)

screenshots: $(VENV)/browser/.installed  ## Take the pictures of the dashboard that the README shows, from a demo (two minutes).
	@$(BIN)/python tools/take_screenshots.py

check: setup  ## Check lint, format, types, import rules, security and words.
	@echo "check: lint, format, types, import rules, security checks and words (15 seconds, the first time)"
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target $(CHECKS)
	@echo "check: all clean"

check-types:
	@$(BIN)/mypy --no-error-summary

check-lint:
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .

check-imports:
	@$(BIN)/lint-imports --no-cache > $(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }

check-security:
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive centralcloud instance_agent migrations

check-words:
	@$(BIN)/python tools/check_words.py

# Beside the checks, once after a checkout: each process of the tests would otherwise compile all of them, at the same time.
compile-tests:
	@test -d tests/__pycache__ || $(BIN)/pytest --collect-only --quiet > /dev/null || true

# KEEP=yes adds to what was measured before.
coverage: setup  ## Run every test, and print how much of the two packages they execute.
	@test -n "$(KEEP)" || rm -rf $(COVERAGE_FOLDER)
	@echo "coverage: the tests, measured; takes about half as long again"
	@status=0; $(MAKE) --no-print-directory coverage-tests MEASURE=yes || status=$$?; \
	  $(COVERAGE) combine --quiet --append --rcfile tests/coverage.ini && $(COVERAGE) report --rcfile tests/coverage.ini; \
	  exit $$status

coverage-tests:
	@$(PYTEST) $(PYTEST_ARGS)

reference: setup  ## Write docs/reference/instance-agent-api.md from the docstrings.
	@$(BIN)/python tools/api_reference.py

format: setup  ## Fix lint and format.
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

# What takes long, among it the soak: all faults at once for SOAK_SECONDS. With SOAK_WORKERS=3 the others run beside it.
soak: setup  ## Run the long tests, and all faults at once for SOAK_SECONDS (600).
	@echo "soak: long tests, and all faults at once for $(SOAK_SECONDS) seconds; a line for each round"
	@$(BIN)/pytest -s --numprocesses $(SOAK_WORKERS) --soak-seconds $(SOAK_SECONDS) $(PYTEST_ARGS)

# `make test` runs them short: fewer runs and outcomes. The full sizes are those of the limits that the tests name.
experiments-long: setup  ## Simulate experiments in full: what their statistics promise (half an hour of a core).
	@echo "experiments-long: A/A tests, power, intervals and canaries in full; a dot for each"
	@$(BIN)/pytest --quiet --numprocesses $(TEST_WORKERS) --experiments-long tests/unit/experiments/test_acceptance.py $(PYTEST_ARGS)

# The tests that use a database, on your own server; its role must be allowed to create databases.
test-postgresql: setup  ## Run the tests that use a database on a server: DATABASE_URL=postgresql://...
	@test "$(origin DATABASE_URL)" = "command line" \
	  || { echo "test-postgresql: name a server for tests: make test-postgresql DATABASE_URL=postgresql://... (not by the environment: databases are created and dropped there)" >&2; exit 2; }
	@$(PYTEST) --database-url '$(DATABASE_URL)' tests/integration tests/chaos $(PYTEST_ARGS)

# The time in the files is that of the commit, so that a build of the same commit gives the same bytes.
build: setup  ## Build the wheel, the source distribution and the list of components (SBOM) into dist/.
	@rm -rf dist
	@epoch=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2> /dev/null)}; \
	  if [ -n "$$epoch" ]; then export SOURCE_DATE_EPOCH=$$epoch; fi; \
	  $(BIN)/hatchling build --clean > /dev/null && $(BIN)/python tools/sbom.py release dist/*.whl
	@$(BIN)/twine check --strict dist/*.whl dist/*.tar.gz

hashes: setup  ## Write deploy/requirements/*.txt, the hashes of constraints.txt (asks the package index, some minutes).
	@$(BIN)/python tools/hash_requirements.py

clean:  ## Remove .venv, dist and every cache.
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
