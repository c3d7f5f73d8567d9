# ---- PostgreSQL ------------------------------------------------------------------------------------------------------

# What the server's storage, its rules and its clock do. The rest of the tests of the server does not touch a database,
# or asks it nothing that these do not.
ON_POSTGRES ?= $(wildcard tests/unit/server/test_postgres_*.py) $(addprefix tests/unit/server/test_server_,$(addsuffix .py, \
	admin bundle_store cli_migrate creations database dialects dispatcher dispatcher_processes dispatcher_races \
	isolation migrations missed payload_property races rate_limit retries runs scheduler_api tokens upgrade))

.PHONY: test-postgres
test-postgres: setup-dev ## Run the server's tests on a PostgreSQL that is made for them and goes with them
	@$(BIN)/python scripts/postgres.py -- $(BIN)/python -m pytest --quiet -n $(JOBS) --dist loadfile $(ON_POSTGRES) $(ARGS)
