# ---- Benchmarks ----------------------------------------------------------------------------------------------------

ZIG_VENV := .make/zig

.PHONY: setup-bench
setup-bench: $(VENV)/.bench native ## Install what the runner needs and the peers it is measured against, and build the native helper
	@:

# The bench lock holds the runtime lock's versions, so it is enough for both.
$(VENV)/.bench: requirements/bench.txt requirements/runtime.txt pyproject.toml | $(BIN)/python
	@echo "Installing requirements/bench.txt ..."
	@$(PIP) install --require-hashes -r requirements/bench.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $(VENV)/.runtime $@

.PHONY: bench
bench: setup-bench ## Measure against the peers; ARGS="execute hostcall" runs parts
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: bench-postgres
bench-postgres: setup-dev setup-bench ## Measure the server on a PostgreSQL of its own, which is installed if it is missing, and keep the other results
	@$(PYTHON) scripts/postgres.py --durable -- $(BIN)/python -m benchmarks server_postgres --merge $(ARGS)

$(ZIG_VENV)/.ready: requirements/guests.txt
	@$(PYTHON) -m venv $(ZIG_VENV)
	@$(ZIG_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements/guests.txt
	@touch $@

.PHONY: bench-guests
bench-guests: $(ZIG_VENV)/.ready ## Build the benchmark's committed wasm from its C source
	@$(PYTHON) benchmarks/guests/build.py $(ZIG_VENV)/bin/python

.PHONY: bench-guests-check
bench-guests-check: $(ZIG_VENV)/.ready ## Rebuild it in two other folders and compare, byte by byte
	@$(PYTHON) benchmarks/guests/build.py $(ZIG_VENV)/bin/python --check

.PHONY: profile
profile: setup-bench ## Say where the microseconds of an execution and of a host call go; ARGS as for bench
	@$(BIN)/python -m benchmarks --profile $(ARGS)
