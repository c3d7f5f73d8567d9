# ---- Guests of the tests that are written in C -----------------------------------------------------------------------

TEST_GUESTS := tests/guests
TEST_GUEST_FLAGS := -target wasm32-freestanding -Os -g -nostdlib -Wall -Wextra -Werror -fdebug-compilation-dir=. \
	-Wl,--no-entry -Wl,--export-memory -Wl,-z,stack-size=65536

.PHONY: test-guests
test-guests: $(ZIG_VENV)/.ready ## Build the tests' committed wasm from its C source
	@cd $(TEST_GUESTS) && $(CURDIR)/$(ZIG_VENV)/bin/python -m ziglang cc $(TEST_GUEST_FLAGS) -o crash.wasm crash.c
	@chmod 644 $(TEST_GUESTS)/crash.wasm

.PHONY: test-guests-check
test-guests-check: ## Rebuild it in another folder and compare, byte by byte
	@rm -rf .make/guests && mkdir -p .make && cp -r $(TEST_GUESTS) .make/guests
	@$(MAKE) test-guests TEST_GUESTS=.make/guests
	@cmp $(TEST_GUESTS)/crash.wasm .make/guests/crash.wasm
