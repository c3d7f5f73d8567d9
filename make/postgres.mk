# ---- PostgreSQL, Redis ------------------------------------------------------------------------------------------------------

.PHONY: test-postgres
test-postgres: setup-dev ## Run the server's tests on a PostgreSQL that is made for them and goes with them
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-5} $(BIN)/python scripts/postgres.py -- $(BIN)/python -m pytest --quiet -n $(JOBS) --dist loadfile -m postgres $(ARGS)

.PHONY: test-redis
test-redis: setup-dev ## Run the tests of the debug stream on a Redis that is made for them and goes with them
	@$(BIN)/python scripts/redis_server.py -- $(BIN)/python -m pytest --quiet -n 0 -m redis $(ARGS)
