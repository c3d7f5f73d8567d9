# ---- WebAssembly that is committed next to its source --------------------------------------------------------------

.PHONY: samples
samples: ## Build the committed wasm from its AssemblyScript source; needs Node 20
	@$(PYTHON) guest-abi/assemblyscript/build.py

.PHONY: samples-check
samples-check: ## Rebuild it in two other folders and compare, byte by byte
	@$(PYTHON) guest-abi/assemblyscript/build.py --check
