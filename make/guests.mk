# ---- Guests of the tests that are written in C -----------------------------------------------------------------------

TEST_GUESTS := tests/guests
TEST_GUEST_FLAGS := -target wasm32-freestanding -Os -nostdlib -Wall -Wextra -Werror -fdebug-compilation-dir=. \
	-Wl,--no-entry -Wl,--export-memory -Wl,-z,stack-size=65536

.PHONY: test-guests
test-guests: $(ZIG_VENV)/.ready ## Build the tests' committed wasm from its C source
	@cd $(TEST_GUESTS) && for version in 4 5; do \
		"$(CURDIR)/$(ZIG_VENV)/bin/python" -m ziglang cc $(TEST_GUEST_FLAGS) -gdwarf-$$version \
			-o crash-dwarf$$version.wasm crash.c && chmod 644 crash-dwarf$$version.wasm || exit 1; \
	done

.PHONY: guests-check
guests-check: test-guests-check bench-guests-check guest-c-check guest-go-check ## Rebuild every guest that is written in C or Go, with pinned compilers, and compare

.PHONY: test-guests-check
test-guests-check: ## Rebuild it in another folder and compare, byte by byte
	@rm -rf .make/guests && mkdir -p .make && cp -r $(TEST_GUESTS) .make/guests && rm .make/guests/*.wasm
	@$(MAKE) test-guests TEST_GUESTS=.make/guests
	@for guest in $(TEST_GUESTS)/*.wasm; do cmp $$guest .make/guests/$$(basename $$guest) || exit 1; done

# ---- The SDK for C ---------------------------------------------------------------------------------------------------

GUEST_C := guest-abi/c
GUEST_C_FLAGS := -target wasm32-freestanding -Os -nostdlib -Wall -Wextra -Werror -I. \
	-Wl,--no-entry -Wl,--export-memory -Wl,--strip-debug -Wl,-z,stack-size=65536

.PHONY: guest-c
guest-c: $(ZIG_VENV)/.ready ## Build the C SDK's committed modules: its template, and the guest of its tests
	@cd $(GUEST_C) && for guest in tests/probe.c:tests/probe.wasm template/main.c:template/dist/main.wasm; do \
		"$(CURDIR)/$(ZIG_VENV)/bin/python" -m ziglang cc $(GUEST_C_FLAGS) -o $${guest#*:} $${guest%:*} alga.c \
			&& chmod 644 $${guest#*:} || exit 1; \
	done

.PHONY: guest-c-check
guest-c-check: ## Rebuild them in another folder and compare, byte by byte
	@rm -rf .make/guest-c && mkdir -p .make && cp -r $(GUEST_C) .make/guest-c && find .make/guest-c -name '*.wasm' -delete
	@$(MAKE) guest-c GUEST_C=.make/guest-c
	@for guest in tests/probe.wasm template/dist/main.wasm; do cmp $(GUEST_C)/$$guest .make/guest-c/$$guest || exit 1; done
