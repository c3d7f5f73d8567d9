# ---- PostgreSQL ------------------------------------------------------------------------------------------------------

# Where the database decides. The rest of the server's tests ask of it nothing that these do not.
ON_POSTGRES ?= tests/contract/test_job_runner_contract.py tests/integration/test_scheduler_flows.py \
	tests/hostile/test_routes_fuzzed.py $(wildcard tests/unit/server/test_postgres_*.py) $(addprefix tests/unit/server/test_server_,$(addsuffix .py, \
	batches cli_migrate creations database dispatcher dispatcher_processes dispatcher_races isolation killed migrations \
	races rate_limit reconciler retries upgrade)) \
	--deselect tests/unit/server/test_server_dispatcher.py::TestOnItsOwn::test_it_looks_again_only_when_there_is_a_reason

.PHONY: test-postgres
test-postgres: setup-dev ## Run the server's tests on a PostgreSQL that is made for them and goes with them
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-5} $(BIN)/python scripts/postgres.py -- $(BIN)/python -m pytest --quiet -n $(JOBS) --dist loadfile $(ON_POSTGRES) $(ARGS)
