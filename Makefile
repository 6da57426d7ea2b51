# Every target with a ## comment is shown by `make help`.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CACHE := $(or $(SLUICE_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sluice)
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
LINT_VERSION := v2.5.0
LINT := $(CACHE)/tools/golangci-lint-$(LINT_VERSION)
# Flags of the demo, for example: make demo ARGS="--rate 500 --for 30s"
ARGS ?=
# Flags for the Go tests, for example: make test GOTEST="-run TestWatermark"
GOTEST ?=

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  \033[1m%-10s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: runtime ## build bin/sluice and fetch the ONNX Runtime library it loads
	go build -ldflags '$(LDFLAGS)' -o bin/sluice ./cmd/sluice

.PHONY: runtime
runtime: ## fetch the ONNX Runtime library into the cache, unless it is there
	@deploy/onnxruntime/fetch.sh

.PHONY: build-demo
build-demo: runtime
	go build -tags demo -ldflags '$(LDFLAGS)' -o bin/sluice-demo ./cmd/sluice

.PHONY: demo
demo: build-demo ## the main job on embedded defaults, with a live view; Ctrl-C ends it
	@bin/sluice-demo demo $(ARGS)

.PHONY: check
check: runtime ## the quick loop: vet, lint where it is installed, tests without a broker
	@if [ -x "$(LINT)" ]; then "$(LINT)" run; else go vet -tags demo,integration ./...; fi
	go test -tags demo $(GOTEST) ./...

# Two runs: with the race detector everything that needs no broker (unit, property, fuzz seeds, virtual time); then
# without it once more with the real broker's tests and each micro-benchmark once.
.PHONY: test
test: runtime ## everything: unit, property, race, virtual time, benchmarks once, a real Kafka
	@deploy/kafka/broker.sh probe
	go test -race -tags demo $(GOTEST) ./...
	deploy/kafka/broker.sh with -- go test -count=1 -tags demo,integration -bench . -benchtime 1x $(GOTEST) ./...

$(LINT):
	mkdir -p $(CACHE)/tools/$(LINT_VERSION)
	GOBIN=$(CACHE)/tools/$(LINT_VERSION) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv $(CACHE)/tools/$(LINT_VERSION)/golangci-lint $(LINT) && rmdir $(CACHE)/tools/$(LINT_VERSION)

.PHONY: lint
lint: $(LINT) ## golangci-lint, the pinned version
	$(LINT) run

.PHONY: ci
ci: ## what continuous integration runs
	.ci/run

.PHONY: clean
clean: ## remove what was built here; the cache of fetched things stays
	rm -rf bin
