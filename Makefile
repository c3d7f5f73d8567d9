# `make` lists what there is. Every target prepares what it needs; a second run of the same does nothing twice.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The Python that .venv is made with: 3.11, 3.12 or 3.13.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# For pytest: make test ARGS="-k schedule"; JOBS is how many processes share the tests, 0 for one.
ARGS ?=
JOBS ?= auto

include $(wildcard make/*.mk)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---- Set up -------------------------------------------------------------------------------------------------------

.PHONY: setup
setup: $(VENV)/.runtime ## Install what the runner needs into .venv
	@:

.PHONY: setup-dev
setup-dev: $(VENV)/.dev ## The same, and what the tests and checks need
	@:

$(BIN)/python:
	@$(PYTHON) scripts/check_python.py
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.runtime: requirements/runtime.txt pyproject.toml | $(BIN)/python
	@echo "Installing requirements/runtime.txt ..."
	@$(PIP) install --require-hashes -r requirements/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

# The dev lock holds the runtime lock's versions, so it is enough for both.
$(VENV)/.dev: requirements/dev.txt requirements/runtime.txt pyproject.toml | $(BIN)/python
	@echo "Installing requirements/dev.txt ..."
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $(VENV)/.runtime $@

# ---- Use ----------------------------------------------------------------------------------------------------------

.PHONY: native
native: $(NATIVE) ## Build the engine's native helper, which runs guests with less work in Python; without it they run as well
	@:

.PHONY: demo
demo: setup ## Run a sample extension against the embedded Alga server
	@$(BIN)/alga-runner demo

# ---- Prove --------------------------------------------------------------------------------------------------------

.PHONY: test
test: setup-dev ## Run the tests, save those that the next four targets run; ARGS go to pytest
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not processes and not routes and not components and not guests and not bench" $(ARGS)

.PHONY: test-processes
test-processes: setup-dev ## Run the tests that run whole programs: runners, servers, commands, pytest
	@$(BIN)/python -m pytest --quiet -n $(JOBS) --dist loadfile -m processes $(ARGS)

.PHONY: test-routes
test-routes: setup-dev ## Send generated requests to every route of the server, a few each
	@$(BIN)/python -m pytest --quiet -n $(JOBS) --dist load -m routes $(ARGS)

.PHONY: test-components
test-components: setup-dev ## Run the tests of components with a language's runtime inside, which compile for seconds
	@$(BIN)/python -m pytest --quiet -n $(JOBS) --dist loadfile -m components $(ARGS)

.PHONY: alerts-check
alerts-check: setup-dev ## Check the alerts under deploy/prometheus with promtool, which is fetched if it is missing, and run their tests
	@$(PYTHON) scripts/alerts.py -- $(BIN)/python -m pytest --quiet -n 0 tests/integration/test_alert_rules.py $(ARGS)

DEPLOY_VENV := .make/deploy

.PHONY: deploy-check
deploy-check: ## Check the image, compose.yaml and the Kubernetes manifests by their schemas, and install what the image does
	@$(PYTHON) -m venv $(DEPLOY_VENV)
	@$(DEPLOY_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements/deploy.txt
	@$(PYTHON) scripts/deploy.py $(DEPLOY_VENV)/bin

.PHONY: conformance
conformance: setup-dev ## Probe the runner with the guests of the conformance kit, the slow ones included
	@$(BIN)/alga-runner conformance --slow $(ARGS)

.PHONY: test-bench
test-bench: setup-dev ## Try every part of the benchmark, so small that its numbers mean nothing
	@$(BIN)/python -m pytest -n auto -m bench $(ARGS)

# How many requests each route of the server's OpenAPI document gets, and how many values each property.
EXAMPLES ?= 500
FUZZED := tests/hostile/test_native_guests_agree.py tests/hostile/test_exchange_agrees.py tests/hostile/test_http_parsers_agree.py tests/hostile/test_routes_fuzzed.py tests/hostile/test_messages_fuzzed.py tests/hostile/test_shortcuts.py tests/contract/test_values_go_round.py

.PHONY: fuzz
fuzz: setup-dev ## Run the tests over generated requests and messages with more of them; EXAMPLES is how many for each
	@FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest $(FUZZED) $(ARGS)

# What differs from Python to Python: callbacks on a guest's stack, threads, asyncio.
OTHERS ?= tests/unit/engine tests/unit/guests tests/unit/runner tests/hostile tests/contract

.PHONY: test-matrix
test-matrix: ## Run the tests on every Python found; PYTHONS="3.12 3.13" picks, ARGS go to pytest
	@$(PYTHON) scripts/matrix.py $(if $(PYTHONS),--pythons $(PYTHONS)) -- -n $(JOBS) --dist loadfile $(ARGS)

.PHONY: test-others
test-others: ## Run the tests of the engine and the runner on the Pythons that .venv has not
	@$(PYTHON) scripts/matrix.py --without $(BIN)/python -- -n $(JOBS) --dist loadfile --quiet $(OTHERS)

# What reaches the libraries that a user may have in other versions: not what looks at the project's texts.
BOUNDS ?= tests/unit tests/contract --ignore=tests/unit/project

.PHONY: test-oldest
test-oldest: setup-dev ## Run unit and contract tests on the oldest version that is allowed of each dependency
	@$(PYTHON) scripts/matrix.py --only $(BIN)/python --lock requirements/oldest.txt -- -n $(JOBS) --dist loadfile --quiet -m "not processes and not guests and not bench" $(BOUNDS)

.PHONY: test-newest
test-newest: setup-dev ## The same on the newest versions, where requirements/dev.txt has others
	@$(PYTHON) scripts/matrix.py --only $(BIN)/python --lock requirements/newest.txt -- -n $(JOBS) --dist loadfile --quiet -m "not processes and not guests and not bench" $(BOUNDS)

# The tests closest to the event loop. `serve` takes uvloop where it is installed; libraries and tests take asyncio's own.
ON_UVLOOP ?= tests/unit/engine tests/unit/runner tests/unit/guests tests/integration/service tests/hostile

.PHONY: test-uvloop
test-uvloop: setup-dev ## Run the tests of the engine, the runner and the service, and the hostile ones, on uvloop
	@ALGA_TEST_LOOP=uvloop $(BIN)/python -m pytest --quiet -n $(JOBS) --dist loadfile -m "not processes and not routes and not components and not guests and not bench" $(ON_UVLOOP) $(ARGS)

# The same, with the guests on the engine's native helper. Everything else runs without it, whether it was built or not.
NATIVE_CHECKED := tests/unit/engine/test_calls.py tests/unit/engine/test_ticker.py tests/unit/engine/test_guest.py tests/unit/engine/test_traps.py tests/unit/engine/cpu_thread tests/hostile/test_native_guests_agree.py tests/hostile/test_exchange_agrees.py
WITH_NATIVE ?= tests/unit/engine tests/unit/execution tests/unit/runner tests/unit/guests tests/hostile tests/stress

.PHONY: test-native
test-native: setup-dev native ## Build the engine's native helper, and run the tests of the engine, of executions and the hostile ones on it
	@ALGA_RUNNER_NATIVE_ENGINE=required $(BIN)/python -m pytest --quiet -n $(JOBS) --dist loadfile -m "not routes and not components and not guests and not bench" $(WITH_NATIVE) $(ARGS)
	@$(PYTHON) scripts/native_checked.py $(ZIG_VENV)/bin/python -- $(BIN)/python -m pytest --quiet -n 0 $(NATIVE_CHECKED)

.PHONY: soak
soak: setup-dev ## Run 200,000 executions of each kind and see that none is wrong and nothing is left; ARGS="--kind trap"
	@$(BIN)/python -m tests.stress $(ARGS)

.PHONY: check
check: setup-dev ## Check format, lint, types, and the arrows between rooms
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/ruff check --output-format concise
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/python -m pytest --quiet --no-header tests/unit/project/test_architecture_arrows.py

.PHONY: ci
ci: ## Run check, test, test-processes, test-routes, test-components, test-uvloop, test-native, test-others, test-oldest, test-newest, test-postgres, test-redis, test-s3, alerts-check, deploy-check, conformance, test-bench, demo, samples-check, guests-check, guest-rust-check, guest-go and components, each even after failures, and end with a table
	@$(PYTHON) scripts/ci.py $(MAKE)

# ---- Keep ---------------------------------------------------------------------------------------------------------

LOCK_VENV := .make/lock
LOCK := $(LOCK_VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate

.PHONY: lock
lock: ## Recompile the locks from pyproject.toml; UPGRADE=1 takes newer versions
	@$(PYTHON) -m venv $(LOCK_VENV)
	@$(LOCK_VENV)/bin/python -m pip --disable-pip-version-check --quiet install uv
	@$(LOCK) $(if $(UPGRADE),--upgrade) pyproject.toml --extra build -o requirements/runtime.txt
	@$(LOCK) $(if $(UPGRADE),--upgrade) pyproject.toml --extra build --extra dev --extra fast --extra postgres --extra otel --extra redis -c requirements/runtime.txt -o requirements/dev.txt
	@$(LOCK) $(if $(UPGRADE),--upgrade) pyproject.toml --extra build --extra bench -c requirements/dev.txt -o requirements/bench.txt
	@$(LOCK) $(if $(UPGRADE),--upgrade) pyproject.toml --extra build --extra fast --extra postgres --extra otel --extra redis -c requirements/dev.txt -o requirements/image.txt
	@$(LOCK) $(if $(UPGRADE),--upgrade) --group pyproject.toml:deploy -o requirements/deploy.txt
	@$(LOCK) $(if $(UPGRADE),--upgrade) --group pyproject.toml:guests -o requirements/guests.txt
	@$(LOCK) $(if $(UPGRADE),--upgrade) --group pyproject.toml:components -o requirements/components.txt
	@$(LOCK) $(if $(UPGRADE),--upgrade) --group pyproject.toml:go -o requirements/go.txt
	@$(LOCK) --upgrade --resolution lowest-direct pyproject.toml --extra build --extra dev --extra fast --extra postgres --extra otel --extra redis -o requirements/oldest.txt
	@$(LOCK) --upgrade pyproject.toml --extra build --extra dev --extra fast --extra postgres --extra otel --extra redis -o requirements/newest.txt

.PHONY: docs
docs: setup-dev ## Rewrite the guest ABI's schema, the SDKs' bindings, the conformance kit, and the tables in docs/ and guest-abi/, from the code
	@$(BIN)/python -B guest-abi/schema/generate.py
	@cd guest-abi && ../$(BIN)/python -B -m bindings
	@$(BIN)/python -B guest-abi/conformance/build.py
	@$(BIN)/python scripts/docs_tables.py

.PHONY: clean
clean: ## Remove .venv, caches and build output
	@rm -rf $(VENV) .make .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	@find . -name node_modules -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
