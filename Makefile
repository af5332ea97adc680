# What a person does here; `make help` lists it.
# The first that runs and fits: a name on the PATH may be a shim of a version that is not there.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c '$(FITS)' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
MODEL ?= mobilenet_v2
export MODEL
# The packages of another environment do not count as installed, nor those of one whose Python is gone.
unexport PYTHONPATH PYTHONHOME
$(shell test -x $(BIN)/python || rm -f $(VENV)/.run $(VENV)/.dev $(VENV)/.s3 $(VENV)/.int8 $(VENV)/.traces)

.DEFAULT_GOAL := help
.PHONY: help run stop status model test browser check lint types imports contract reference screenshots faults simulate nightly hostile fuzz
.PHONY: failed retry purge-failed undelivered key webhook-secret bench bench-gpu
.PHONY: guides monitoring compose-test audit sbom lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^##@ /{printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## /{printf "  %-15s %s\n", $$1, $$2}' Makefile

##@ Start here

# Photographs for PRECISION=int8, unless others are given, or the engine cannot run it.
INT8 := $(if $(and $(filter int8,$(PRECISION)),$(if $(CALIBRATION_IMAGES)$(filter-out litert,$(ENGINE)),,default)),$(VENV)/.int8)

S3 := $(if $(filter s3://%,$(or $(TOPTHREE_IMAGE_STORE_URL),$(IMAGE_STORE_URL))),$(VENV)/.s3)
TRACES := $(if $(or $(TOPTHREE_OTEL_EXPORTER_OTLP_ENDPOINT),$(OTEL_EXPORTER_OTLP_ENDPOINT)),$(VENV)/.traces)

run: $(VENV)/.run $(INT8) $(S3) $(TRACES) ## set everything up and serve on http://127.0.0.1:5000 (PORT=, MODEL=, PRECISION=, WORKERS= change it)
	@exec $(BIN)/python -m deploy.local $$PPID

stop: ## stop the `make run` of this checkout (PORT= chooses the instance)
	@if [ -e $(VENV)/.run ]; then exec $(BIN)/python -m deploy.local.stop; else echo "make stop: nothing is installed here, so nothing is running"; fi

status: ## show workers, model, queue and failed jobs of the `make run` of this checkout (PORT= chooses the instance)
	@if [ -e $(VENV)/.run ]; then exec $(BIN)/python -m deploy.local.status; else echo "make status: nothing is installed here, so nothing is running"; exit 1; fi

# Two test files run at a time, slowest folders first, because most tests wait for processes. The hostile pictures run
# alone, because they come close to the time limit of a job.
TWO_AT_ONCE := -n 2 --dist loadfile --no-loadscope-reorder

test: $(VENV)/.dev browser ## set everything up and run the tests (about 20 minutes)
	$(BIN)/python -m pytest $(TWO_AT_ONCE) -m "not prometheus and not nightly" \
	  tests/e2e tests/browser tests/client tests/contract tests/unit \
	  --cov=api --cov=shared --cov=worker --cov=topthree_client
	TOPTHREE_HOSTILE=short $(BIN)/python -m pytest tests/hostile

##@ Use it

model: $(VENV)/.run $(INT8) ## prepare the model MODEL= in models/ (PRECISION=int8: faster on some CPUs)
	@$(BIN)/python -m worker.prepare

key: $(VENV)/.run ## make an API key for NAME=, and its entry for API_KEYS
	@$(BIN)/python -m api.new_key $(NAME)

##@ Look after it

failed: $(VENV)/.run ## list the jobs of `make run` that failed, and why (PORT= chooses the instance)
	@$(BIN)/python -m deploy.local.failed

retry: $(VENV)/.run ## retry failed jobs of `make run`: ALL=1, or ID= with their ids (PORT= chooses the instance)
	@test -n "$(filter 1,$(ALL))$(ID)" || { echo "make retry: set ALL=1, or ID= to the ids of failed jobs" >&2; exit 2; }
	@$(BIN)/python -m deploy.local.failed retry $(if $(filter 1,$(ALL)),--all,$(ID))

purge-failed: $(VENV)/.run ## delete the pictures that are kept for a retry: ALL=1, or ID= with ids of failed jobs (PORT= chooses the instance)
	@test -n "$(filter 1,$(ALL))$(ID)" || { echo "make purge-failed: set ALL=1, or ID= to the ids of failed jobs" >&2; exit 2; }
	@$(BIN)/python -m deploy.local.failed purge $(if $(filter 1,$(ALL)),--all,$(ID))

undelivered: $(VENV)/.run ## list the webhooks of `make run` that were given up, and why (PORT= chooses the instance)
	@$(BIN)/python -m deploy.local.failed --webhooks

webhook-secret: $(VENV)/.run ## show the secret that the webhooks of the API key NAME= are signed with (needs WEBHOOK_SECRET)
	@$(BIN)/python -m worker.webhooks --secret "$(NAME)"

##@ Change it

check: lint types imports test ## lint, types, import contracts and tests: run it before you hand in a change

lint: $(VENV)/.dev ## style and common mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## static types
	$(BIN)/mypy

imports: $(VENV)/.dev ## import contracts between the folders
	PYTHONPATH=client $(BIN)/lint-imports

contract: $(VENV)/.dev ## update docs/openapi.json after an intended change of the contract
	$(BIN)/python -m api.contract > docs/openapi.json

reference: contract ## update the tables of settings, metrics and routes in docs/ after an intended change of the source
	$(BIN)/python -m tests.support.reference

screenshots: $(VENV)/.dev browser ## take the pictures of the page and the command line in docs/pictures/ again
	$(BIN)/python -m tests.browser.screenshots

lock: $(VENV)/.dev ## pin requirements/*.in again into requirements/*.txt
	cd requirements && lock="../$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header" && \
	$$lock dev.in -o dev.txt && \
	for name in api worker prepare worker-gpu s3 traces int8 run; do $$lock $$name.in -c dev.txt -o $$name.txt || exit 1; done && \
	$$lock fuzz.in -c dev.txt -o fuzz.txt && \
	$$lock ../client/pyproject.toml -c dev.txt -o client.txt && \
	for name in litserve bentoml mosec original; do $$lock bench-$$name.in -o bench-$$name.txt || exit 1; done

clean: ## remove generated files (.venv, models, and var/ with the jobs of `make run`)
	rm -rf $(VENV) $(VENV)-fuzz models var artifacts .mypy_cache .ruff_cache .pytest_cache

##@ Test more

guides: $(VENV)/.dev ## run every command in the documentation that needs no Docker engine (Debian: apt-get install nginx-light nodejs)
	$(BIN)/python -m pytest -m "not nightly" tests/guides

monitoring: $(VENV)/.dev ## check the dashboard and the alerts with Prometheus (Debian: apt-get install prometheus)
	$(BIN)/python -m pytest -m prometheus tests/unit tests/e2e/test_metrics.py

compose-test: $(VENV)/.dev ## build the images and try them on a Docker engine
	$(BIN)/python -m pytest tests/compose

faults: $(VENV)/.dev ## fault tests against real processes (TOPTHREE_FAULTS=short: the short version)
	$(BIN)/python -m pytest tests/faults

simulate: $(VENV)/.dev ## simulate the service with faults, SEEDS=2000 times (100,000 take an hour); TRACE= replays one seed step by step
	$(BIN)/python -m tests.simulation $(if $(TRACE),--trace $(TRACE),$(or $(SEEDS),2000))

hostile: $(VENV)/.dev ## send thousands of hostile files to the service and print the outcomes (about 5 minutes)
	$(BIN)/python -m pytest -s tests/hostile

fuzz: $(VENV)-fuzz/.done ## fuzz the header check with atheris (FUZZ_SECONDS=300)
	mkdir -p artifacts/fuzz
	$(VENV)-fuzz/bin/python -m tests.fuzz.header -max_total_time=$(or $(FUZZ_SECONDS),300) -max_len=65536 -timeout=5 \
	  -artifact_prefix=artifacts/ artifacts/fuzz

audit: $(VENV)/.dev ## check the pinned packages for known vulnerabilities (needs the network)
	$(BIN)/python .ci/audit.py

sbom: $(VENV)/.dev ## list the packages in images and client in artifacts/sbom/, as CycloneDX
	@mkdir -p artifacts/sbom
	@list="$(BIN)/python -W ignore -m cyclonedx_py requirements --output-reproducible" && \
	for name in api worker worker-gpu s3 traces; do $$list requirements/$$name.txt -o artifacts/sbom/$$name.cdx.json || exit 1; done && \
	$$list requirements/client.txt --pyproject client/pyproject.toml -o artifacts/sbom/client.cdx.json
	@echo "The lists are in artifacts/sbom/."

nightly: $(VENV)/.dev ## everything at full scale: faults, 100,000 simulated worlds, hostile files, real installations (some hours)
	$(BIN)/python -m pytest tests/faults
	$(BIN)/python -m pytest tests/simulation
	$(BIN)/python -m tests.simulation 100000
	$(BIN)/python -m pytest tests/hostile
	$(BIN)/python -m pytest -m nightly tests/e2e tests/guides

browser: $(VENV)/.dev ## find or install the Chromium that the tests of the web page need
	@$(BIN)/python -m tests.support.browser

##@ Measure it

bench: $(VENV)/.dev ## compare the speed with the limit of this machine and with other servers (about 20 minutes; QUICK=1: 3)
	$(BIN)/python -m bench $(if $(QUICK),--quick)

bench-gpu: $(VENV)/.dev ## measure the batch worker on a GPU (installs the CUDA libraries)
	$(BIN)/python -m deploy.local.install requirements/worker-gpu.txt
	$(BIN)/python -m bench.batches

CHECK_PYTHON = @"$(or $(PYTHON),false)" -c '$(FITS)' 2>/dev/null || \
  { echo "topthree needs Python 3.11, 3.12 or 3.13: PYTHON=/path/to/python make run" >&2; exit 1; }

# An environment that could not be made is made from the start the next time.
.DELETE_ON_ERROR:
$(BIN)/python:
	$(CHECK_PYTHON)
	"$(PYTHON)" -m venv --clear $(VENV)

$(VENV)/.run: requirements/run.txt client/pyproject.toml | $(BIN)/python
	@echo "Installing what the service needs (TensorFlow is large; this happens once)."
	@$(BIN)/python -m deploy.local.install $< client
	@touch $@

# What pictures in S3 need beside the rest; the development environment has it anyway.
$(VENV)/.s3: requirements/s3.txt $(VENV)/.run
	@echo "Installing what pictures in S3 need."
	@$(BIN)/python -m deploy.local.install $<
	@touch $@

# What traces need beside the rest; the development environment has it anyway.
$(VENV)/.traces: requirements/traces.txt $(VENV)/.run
	@echo "Installing what traces need."
	@$(BIN)/python -m deploy.local.install $<
	@touch $@

# Photographs to calibrate and check PRECISION=int8 with; the development environment has them anyway.
$(VENV)/.int8: requirements/int8.txt $(VENV)/.run
	@echo "Installing photographs for PRECISION=int8."
	@$(BIN)/python -m deploy.local.install $<
	@touch $@

$(VENV)-fuzz/.done: requirements/fuzz.txt
	$(CHECK_PYTHON)
	"$(PYTHON)" -m venv --clear $(VENV)-fuzz
	@$(VENV)-fuzz/bin/python -m deploy.local.install $<
	@touch $@

$(VENV)/.dev: requirements/dev.txt client/pyproject.toml | $(BIN)/python
	@echo "Installing what the service and its tests need (TensorFlow is large; this happens once)."
	@$(BIN)/python -m deploy.local.install $< client
	@touch $@ $(VENV)/.run
