# ---- Components: the TypeScript SDK and its sample; they need Node 20 ------------------------------------------------

TYPESCRIPT_SDK := guest-abi/typescript
TYPESCRIPT_SAMPLE := sample-extensions/scheduler-typescript

$(TYPESCRIPT_SDK)/node_modules/.ready: $(TYPESCRIPT_SDK)/package-lock.json
	@cd $(TYPESCRIPT_SDK) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: typescript-sdk
typescript-sdk: $(TYPESCRIPT_SDK)/node_modules/.ready ## Build the TypeScript SDK and run its tests
	@cd $(TYPESCRIPT_SDK) && npx tsc -p tsconfig.json && npm test --silent

.PHONY: components
components: typescript-sdk ## Build the TypeScript sample's committed component
	@mkdir -p $(TYPESCRIPT_SAMPLE)/node_modules && ln -sfn ../../../$(TYPESCRIPT_SDK) $(TYPESCRIPT_SAMPLE)/node_modules/alga-extension
	@cd $(TYPESCRIPT_SAMPLE) && ../../$(TYPESCRIPT_SDK)/node_modules/.bin/tsc -p tsconfig.json
	@cd $(TYPESCRIPT_SAMPLE) && node ../../$(TYPESCRIPT_SDK)/build.mjs src/index.ts --out $${OUT:-dist/main.wasm}
