# ---- Components: what needs more than Python to build ----------------------------------------------------------------

.PHONY: components
components: components-typescript ## Build the SDKs and samples for components as their users do, and run the samples' tests

.PHONY: components-typescript
components-typescript: setup-dev ## The same for TypeScript alone, on both of its engines; needs Node 20
	@$(BIN)/python scripts/typescript.py

.PHONY: typescript-sample
typescript-sample: ## Build the TypeScript sample's committed component; needs Node 20
	@$(PYTHON) scripts/typescript.py --commit
