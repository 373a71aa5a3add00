# Every target sets up what it needs: python3 (3.11 or newer) is all that has to be there.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# Else each of the many processes that the tests start would compile the whole program anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-slow lint format bench clean

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /	/' | expand -t 14

setup: .venv/ready ## make .venv with budgetd and its tools, versions pinned in constraints.txt

.venv/ready: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup ## watch the whole thing work: four vendors on loopback, a webhook, a mailbox
	@$(BIN)/budgetd demo

test: setup ## every test that takes seconds
	@$(BIN)/python -m pytest -q -n auto --dist loadfile --no-loadscope-reorder -m 'not slow'

test-slow: setup ## the tests that take minutes: kill -9, fuzzing, each property with all its examples
	@$(BIN)/python -m pytest -q -m 'slow or hypothesis' --hypothesis-profile=all

lint: setup ## format, lint, import contracts, types
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --diff .; exit 1; }
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/mypy daemon/budgetd rules/budgetd_rules tests

format: setup ## rewrite the code as the linter wants it
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .

bench: setup ## CPU per poll against a bare GET, memory, time from response to message
	@$(BIN)/python tests/bench.py

clean: ## remove what the targets made
	find daemon rules tests -name __pycache__ -exec rm -rf {} +
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
