# ---- PostgreSQL, Redis, S3 --------------------------------------------------------------------------------------------------

.PHONY: test-postgres
test-postgres: setup-dev ## Run the server's tests on a PostgreSQL that is made for them and goes with them
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-5} $(BIN)/python scripts/postgres.py -- $(BIN)/python -m pytest --quiet -n $(JOBS) --dist loadfile -m postgres $(ARGS)

.PHONY: test-redis
test-redis: setup-dev ## Run the tests of the debug stream on a Redis that is made for them and goes with them
	@$(BIN)/python scripts/redis_server.py -- $(BIN)/python -m pytest --quiet -n 0 -m redis $(ARGS)

.PHONY: test-s3
test-s3: setup-dev ## Run the tests of signed requests on an S3 server that verifies them; needs Go, which builds it
	@$(BIN)/python scripts/s3_server.py -- $(BIN)/python -m pytest --quiet -n 0 -m s3 tests/integration/stores $(ARGS)
