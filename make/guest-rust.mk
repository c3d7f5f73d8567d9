# ---- The SDK for Rust ------------------------------------------------------------------------------------------------

.PHONY: guest-rust
guest-rust: setup-dev ## Test the Rust SDK, build its committed modules and try them on the runner; needs rustup, which fetches the pinned compiler
	@$(PYTHON) scripts/guest_rust.py
	@$(BIN)/python -m pytest --quiet -n 0 tests/unit/guest_abi tests/integration/test_templates.py -k rust $(ARGS)

.PHONY: guest-rust-check
guest-rust-check: setup-dev ## Test it, and rebuild its committed modules in two other folders to compare, byte by byte
	@$(PYTHON) scripts/guest_rust.py --check
	@$(BIN)/python -m pytest --quiet -n 0 -m guests -k rust tests/unit/guest_abi tests/integration/test_templates.py $(ARGS)
