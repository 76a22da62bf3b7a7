# `make help` lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
SPECWATCH := .venv/bin/specwatch
PYTEST_ARGS ?=

.PHONY: help
help: ## Show this list.
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Make .venv as requirements.lock says.
	@scripts/setup

.PHONY: engines
engines: ## Get the real programs (Prometheus, Alertmanager, Loki, the collector …) for the native runtime and the tests.
	@scripts/engines/get

.PHONY: up
up: setup ## Generate, start the stack, wait until it is healthy, say where everything is.
	@scripts/up

.PHONY: down
down: setup ## Stop the stack; its data stay.
	@$(SPECWATCH) down

.PHONY: status
status: setup ## Show what runs, and where.
	@$(SPECWATCH) status

.PHONY: break
break: setup ## Make a part of the shop's requests fail, and watch the alerts arrive in the inbox.
	@.venv/bin/python -m exporter.faults break

.PHONY: mend
mend: setup ## End the failures; the resolved messages follow.
	@.venv/bin/python -m exporter.faults mend

.PHONY: generate
generate: setup ## Make every file of the stack from spec.yaml.
	@$(SPECWATCH) generate

.PHONY: test
test: setup engines ## Run every test, with the real programs.
	@.venv/bin/python -m pytest $(PYTEST_ARGS)

.PHONY: lint
lint: setup ## Formatter, linter, type checker.
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy

.PHONY: format
format: setup ## Bring the code to the one format.
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

.PHONY: bench
bench: setup engines ## Measure what docs/performance.md states.
	@.venv/bin/python benchmarks/run.py

.PHONY: docs
docs: setup ## Make the pages that come from the code.
	@$(SPECWATCH) reference > docs/reference.md
	@$(SPECWATCH) schema > docs/spec.schema.json

.PHONY: lock
lock: setup ## Bring requirements.lock to the newest versions that pyproject.toml allows.
	@.venv/bin/uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-emit-index-url --no-annotate --quiet --upgrade --output-file requirements.lock
