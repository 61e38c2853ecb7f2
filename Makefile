# Every command of the repository. Only python3 (3.11 or newer) and make are assumed; the rest comes from uv.lock.
# What a command does is in scripts/, so that it can be read, linted and run without make.
PYTHON ?= python3
RUN := .venv/bin/python

# Whatever indexes or settings a developer has for other work, uv.lock decides what is installed here.
export UV_NO_CONFIG := 1
export UV_PYTHON_DOWNLOADS := never
unexport UV_DEFAULT_INDEX UV_INDEX UV_INDEX_URL UV_EXTRA_INDEX_URL UV_FIND_LINKS VIRTUAL_ENV

.DEFAULT_GOAL := help
.PHONY: help setup up test check bench drill build fmt

help: ## list these commands
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):[^#]*## /  make \1\t/' | expand -t 16

setup: ## make .venv as uv.lock says; nothing to do when it already is
	@command -v $(PYTHON) >/dev/null || { echo "python3 was not found; install Python 3.11 or newer." >&2; exit 1; }
	@$(PYTHON) scripts/bootstrap.py

up: setup ## run the product: database, migrations, API, dashboard; Ctrl-C stops it
	@exec .venv/bin/operis up

test: setup ## the whole test suite, browser journeys included (ARGS="-k word" for a part)
	@$(RUN) scripts/run_tests.py $(ARGS)

check: setup ## format, lint, types, import contracts, dependencies, lock file, migrations, OpenAPI, compose file
	@$(RUN) scripts/run_checks.py $(ARGS)

bench: setup ## the performance benchmarks, printing ratios
	@$(RUN) -m bench $(ARGS)

drill: setup ## the fault drills: processes killed, the database gone, upstreams failing
	@$(RUN) -m bench.drills $(ARGS)

build: setup ## compile the dashboard's frontend; nothing to do when its sources are unchanged
	@$(RUN) -m operis_dashboard.build

fmt: setup ## format the code and apply the linter's safe fixes
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .
