# Every target with a ## comment is shown by `make help`.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CACHE := $(or $(SLUICE_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sluice)
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
LINT_VERSION := v2.5.0
LINT := $(CACHE)/tools/golangci-lint-$(LINT_VERSION)
VULN_VERSION := v1.9.0
VULN := $(CACHE)/tools/govulncheck-$(VULN_VERSION)
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

$(VULN):
	mkdir -p $(CACHE)/tools/vuln-$(VULN_VERSION)
	GOBIN=$(CACHE)/tools/vuln-$(VULN_VERSION) go install golang.org/x/vuln/cmd/govulncheck@$(VULN_VERSION)
	mv $(CACHE)/tools/vuln-$(VULN_VERSION)/govulncheck $(VULN) && rmdir $(CACHE)/tools/vuln-$(VULN_VERSION)

.PHONY: vulncheck
vulncheck: $(VULN) ## known vulnerabilities in what is called; skipped, with a line, where their database cannot be reached
	@.ci/vulncheck $(VULN)

# The campaign of the main job's promises; 20 minutes on two cores, writes deploy/bench/results. For example:
# make accept ARGS="-points 2,4 -records 50000"
RESULTS ?= deploy/bench/results/main-job-$(shell date +%Y-%m-%d).md
BENCH_VENV := $(CACHE)/venv/bench
.PHONY: bench-venv
bench-venv:
	@[ -x $(BENCH_VENV)/bin/python ] || python3 -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/pip install -q --disable-pip-version-check -r deploy/bench/requirements.txt

.PHONY: accept
accept: build bench-venv ## hold the promises on a real Kafka against Python, franz-go and kcat; first figures
	go build -o bin/accept ./deploy/bench/accept
	deploy/kafka/broker.sh with -- bash -c 'bin/accept -python $(BENCH_VENV)/bin/python -out $(RESULTS) -restart-broker "deploy/kafka/broker.sh restart $$KAFKA_DIR" $(ARGS)'

# Fault campaigns; six minutes with these defaults. Ten seeds of every kind take hours: one JSON file a run is kept in
# bin/faults-runs, and the same command with -resume goes on after an interruption. For example:
# make faults ARGS="-resume -seeds 1-10 -delivery exactly-once,at-least-once -out deploy/bench/results/faults.md"
# With three brokers: make faults NODES=3 ARGS="-kinds leaders,kill -seeds 1-10"
NODES := 1
.PHONY: faults
faults: build ## processes under kills, freezes, churn, a bad network and a killed broker: nothing lost, nothing twice
	go build -tags failpoint -o bin/sluice-failpoint ./cmd/sluice
	go build -o bin/faults ./deploy/bench/faults
	deploy/kafka/broker.sh with -n $(NODES) -- bash -c 'bin/faults -restart-broker "deploy/kafka/broker.sh restart $$KAFKA_DIR \$$NODE" $(ARGS)'

# Worlds on an embedded broker in virtual time, each under 5 to 50 faults; goes on where it was stopped. For example:
# make simulate ARGS="-seeds 10000 -out deploy/bench/results/simulate.md"; one seed with its plan and log: ARGS="-v -first 17";
# rules broken on purpose, and how many seeds it takes to notice: ARGS="-mutations all"
.PHONY: simulate
simulate: ## both delivery levels in virtual time under seeded faults, by the thousand; needs no broker
	go build -o bin/simulate ./deploy/bench/simulate
	bin/simulate $(ARGS)

# Goes on where it was stopped. For example: make fuzz ARGS="-each 10m -out deploy/bench/results/fuzz.md"
.PHONY: fuzz
fuzz: ## every fuzz target for a minute each: decoders, the fetch parser, answers of brokers, model files
	go build -o bin/fuzz ./deploy/bench/fuzz
	bin/fuzz $(ARGS)

# The whole takes some hours on two cores; in about ten minutes:
# make bench ARGS="-points drain -payloads json,raw -rounds 3 -records 200000"
.PHONY: bench
bench: build bench-venv ## sluice beside its rivals: speed, CPU, memory, latency, limits; writes deploy/bench/results
	go build -o bin/compare ./deploy/bench/compare
	KAFKA_JVM="-Xmx1g -XX:+UseSerialGC" deploy/kafka/broker.sh with -n $(NODES) -- bin/compare -python $(BENCH_VENV)/bin/python $(ARGS)

.PHONY: suite
suite: runtime ## the tests that need a broker, on Kafka 3.9 and 4.3; writes deploy/bench/results with ARGS="-out FILE"
	go run ./deploy/bench/suite $(ARGS)

.PHONY: rivals
rivals: ## vet, test and build the bench's rivals in Go, one of which is a module of its own
	cd deploy/bench/rivals/benthos && go vet ./... && go test ./... && go build -o $(CURDIR)/bin/rivals/benthos .
	go build -o bin/rivals/nullworker ./deploy/bench/rivals/nullworker

# On a machine with an NVIDIA GPU, CUDA 13 and cuDNN 9 (their libraries on LD_LIBRARY_PATH, or installed by pip): the tests
# that skip elsewhere.
.PHONY: test-gpu
test-gpu: ## the CUDA tests, on a machine with a GPU
	LD_LIBRARY_PATH=$$(deploy/onnxruntime/cuda-path.sh) SLUICE_RUNTIME_LIBRARY=$$(deploy/onnxruntime/fetch.sh --cuda) go test -count=1 -v -run 'CUDA|GPU' -bench . -benchtime 1s ./pipeline/onnx

# Ten minutes on a GPU. The whole command but for the device, on a machine without one, in a few minutes:
# make bench-gpu ARGS="-device cpu -batches 1..16 -rounds 3 -seconds 1 -in-flight 64 -workers 1,2"
BENCH_GPU := bin/bench-gpu -python $(BENCH_VENV)/bin/python
.PHONY: bench-gpu
bench-gpu: build ## sluice on one GPU beside ONNX Runtime alone on it; also over Kafka where a broker can be started
	go build -o bin/bench-gpu ./deploy/bench/gpu
	@bin/bench-gpu -check $(ARGS)
	$${CC:-cc} -O2 -Wall -Wextra -I"$$(go list -m -f '{{.Dir}}' github.com/yalue/onnxruntime_go)" -o bin/raw_ort deploy/bench/gpu/raw_ort/*.c -ldl -lpthread -lm
	@[ -f bin/bench/models/tokens.onnx -a -f bin/bench/tokens.reference ] || $(MAKE) bench-venv
	export LD_LIBRARY_PATH=$$(deploy/onnxruntime/cuda-path.sh); if deploy/kafka/broker.sh probe; then \
		KAFKA_JVM="-Xmx1g -XX:+UseSerialGC" deploy/kafka/broker.sh with -- $(BENCH_GPU) $(ARGS); else $(BENCH_GPU) $(ARGS); fi

.PHONY: ci
ci: ## what continuous integration runs
	.ci/run

.PHONY: clean
clean: ## remove what was built here; the cache of fetched things stays
	rm -rf bin
