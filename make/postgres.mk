# ---- PostgreSQL ------------------------------------------------------------------------------------------------------

.PHONY: test-postgres
test-postgres: setup-dev ## Run the server's tests on a PostgreSQL that is made for them and goes with them
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-5} $(BIN)/python scripts/postgres.py -- $(BIN)/python -m pytest --quiet -n $(JOBS) --dist loadfile -m postgres $(ARGS)
