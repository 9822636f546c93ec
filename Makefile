# make run    the demo: real compute counted here, then a run that crosses a line
# make test   lint, types and the whole test suite
# Both set themselves up first; `make setup` does only that.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/dev.lock
READY := $(VENV)/.ready

.PHONY: run test chaos services setup lint bench fuzz chart images lock clean

run: setup
	@$(BIN)/flopledger demo

# Where a system part is missing and cannot be had, pytest says what it skipped and the one command that adds it.
test: setup lint services
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

# Everything that can fail does, as the seed says, and the total is the truth to the last digit.
SECONDS ?= 180
SEED ?= 1
chaos: setup services
	@$(BIN)/python -m tests.chaos.run --seconds $(SECONDS) --seed $(SEED)

services:
	@sh scripts/services.sh kafka || test -z "$$CI"
	@sh scripts/services.sh prometheus || test -z "$$CI"
	@sh scripts/services.sh alertmanager || test -z "$$CI"
	@sh scripts/services.sh tools || test -z "$$CI"
	@sh scripts/services.sh browser || test -z "$$CI"
	@sh scripts/services.sh examples || test -z "$$CI"

setup: $(READY)

$(READY): $(LOCK) pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" LOCK="$(LOCK)" sh scripts/setup.sh
	@touch $@

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: setup
	@$(BIN)/python -m bench

# A million inputs for the opening of batches: nothing but an error of ours, and nothing changed that opens.
fuzz: setup
	@$(BIN)/python -m tests.wire.fuzzing

# What is made from the chart's values and templates: its schema, its README, its rendered examples.
chart: setup
	@$(BIN)/python -m scripts.chart

# Where a container engine answers.
images:
	@sh images/build.sh

# Pins every dependency with its hashes; what an image installs, at the same versions.
COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header -q
lock: setup
	$(COMPILE) pyproject.toml --all-extras --group dev --prerelease=if-necessary-or-explicit -o $(LOCK)
	$(COMPILE) pyproject.toml --extra agent -c $(LOCK) --no-annotate -o requirements/agent.lock
	$(COMPILE) pyproject.toml --extra all -c $(LOCK) --no-annotate -o requirements/collector.lock
	$(COMPILE) --group pyproject.toml:images -c $(LOCK) --no-annotate -o requirements/images.lock
	$(COMPILE) examples/jax/requirements.txt --no-annotate -o tests/examples/jax.lock
	printf 'opentelemetry-sdk\nopentelemetry-exporter-otlp-proto-http\n' | $(COMPILE) - --no-annotate -o tests/examples/torch.lock
	printf 'transformers\nlightning\npytorch-lightning\n' | $(COMPILE) - --no-deps --no-annotate -o tests/examples/sources.lock

clean:
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
