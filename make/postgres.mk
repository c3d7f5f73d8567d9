# ---- PostgreSQL ------------------------------------------------------------------------------------------------------

# Where the database decides. The rest of the server's tests ask of it nothing that these do not.
ON_POSTGRES ?= tests/contract/test_job_runner_contract.py tests/integration/demo/test_scheduler_flows.py tests/hostile/test_routes_fuzzed.py \
	tests/integration/server/postgres tests/integration/server/test_killed.py tests/integration/server/cli/test_migrate.py \
	tests/integration/server/storage tests/integration/server/catalog/test_upgrade.py tests/integration/server/http/test_isolation.py \
	$(addprefix tests/integration/server/schedules/test_,creations.py races.py rate_limit.py) \
	$(addprefix tests/integration/server/firing/test_,$(addsuffix .py, \
	batches dispatcher dispatcher_processes dispatcher_races reconciler retries)) \
	--deselect tests/integration/server/firing/test_dispatcher.py::TestOnItsOwn::test_it_looks_again_only_when_there_is_a_reason

.PHONY: test-postgres
test-postgres: setup-dev ## Run the server's tests on a PostgreSQL that is made for them and goes with them
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-5} $(BIN)/python scripts/postgres.py -- $(BIN)/python -m pytest --quiet -n $(JOBS) --dist loadfile $(ON_POSTGRES) $(ARGS)
