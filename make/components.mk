# ---- Components: what needs more than Python to build ----------------------------------------------------------------

.PHONY: components
components: components-typescript components-python components-rust ## Build the SDKs and samples for components as their users do, and run the samples' tests

.PHONY: components-typescript
components-typescript: setup-dev ## The same for TypeScript alone, on both of its engines; needs Node 20
	@$(BIN)/python scripts/typescript.py

.PHONY: typescript-sample
typescript-sample: ## Build the TypeScript sample's committed component; needs Node 20
	@$(PYTHON) scripts/typescript.py --commit

COMPONENTS_VENV := .make/components
PYTHON_SDK := guest-abi/python
PYTHON_SAMPLE := sample-extensions/scheduler-python
PYTHON_BINDINGS := .make/python-bindings
COMPONENTIZE_PY := $(COMPONENTS_VENV)/bin/componentize-py -d guest-abi/wit -w runner

$(COMPONENTS_VENV)/.ready: requirements/components.txt
	@$(PYTHON) -m venv $(COMPONENTS_VENV)
	@$(COMPONENTS_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements/components.txt
	@touch $@

.PHONY: components-python
components-python: $(COMPONENTS_VENV)/.ready setup-dev ## The same for Python alone, whose component is too large to commit
	@rm -rf $(PYTHON_BINDINGS) && $(COMPONENTIZE_PY) bindings $(PYTHON_BINDINGS)
	@sed -n '/^```python$$/,/^```$$/{//!p}' $(PYTHON_SDK)/README.md > $(PYTHON_BINDINGS)/readme.py
	@MYPYPATH=$(PYTHON_BINDINGS):$(PYTHON_SDK):$(PYTHON_SAMPLE)/src $(BIN)/mypy --follow-imports=silent --no-error-summary \
		$(PYTHON_SDK)/alga_extension $(PYTHON_SAMPLE)/src $(PYTHON_BINDINGS)/readme.py
	@mkdir -p $(PYTHON_SAMPLE)/dist
	@$(COMPONENTIZE_PY) componentize app -p $(PYTHON_SAMPLE)/src -p $(PYTHON_SDK) -o $(PYTHON_SAMPLE)/dist/main.wasm
	@$(BIN)/python -m pytest --quiet -n 0 -o faulthandler_timeout=0 sample-extensions/tests $(PYTHON_SAMPLE) -k "python" $(ARGS)
	@$(BIN)/python -m pytest --quiet -n 0 -o faulthandler_timeout=0 guest-abi/tests -k "through-python" $(ARGS)

.PHONY: rust-sample
rust-sample: $(COMPONENTS_VENV)/.ready ## Build the committed components of the Rust samples; needs rustup, which fetches the pinned compiler
	@$(PYTHON) scripts/rust.py $(COMPONENTS_VENV)/bin/wasm-tools

.PHONY: components-rust
components-rust: $(COMPONENTS_VENV)/.ready ## Rebuild them in another folder and compare, byte by byte
	@$(PYTHON) scripts/rust.py $(COMPONENTS_VENV)/bin/wasm-tools --check
