# Every target installs what it needs into .venv first; nothing is installed elsewhere, except Debian packages for the
# network-namespace lab when run as root, and the Kubernetes of the tests, built into ~/.cache/network-mapper.
# `make help` lists the targets.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# The first interpreter that is new enough; PYTHON=... chooses another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$python; break; fi; done)
BIN := .venv/bin

# The scripts of bench/ that `make bench` runs, in this order; BENCH=cli runs one of them.
BENCH ?= cli capture_packets cluster cluster_index forward live_cluster mapper model_wire page pictures sniffer

# Topology of the demo; another file draws another map. DEMO_KEEP=1 keeps it running.
TOPOLOGY ?=

PYTHON_FILES := src tests tools image $(wildcard bench)
LONGEST_FILE := 700

.PHONY: help
help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: python
python:
	@test -n "$(PYTHON)" || { echo "Error: this needs Python 3.11 or newer. Install it, on Debian with:" \
		"sudo apt install python3 python3-venv" >&2; exit 1; }

.PHONY: venv
venv: python ## Install the locked packages and this project into .venv
	@$(PYTHON) tools/bootstrap.py venv

.PHONY: demo
demo: venv ## Draw the map of a small shop from real packets (TOPOLOGY=FILE, DEMO_KEEP=1)
	@$(BIN)/python -m network_mapper.testing.demo $(if $(TOPOLOGY),"$(TOPOLOGY)")

.PHONY: test
test: venv ## Run all tests (ARGS="-k name"), those with network namespaces where the system allows them
	@$(PYTHON) tools/bootstrap.py test-tools
	@# Inside the sandbox there is no network to fetch from, so the tests' Kubernetes is built beside it; the tests that
	@# need it come last and wait.
	@$(PYTHON) tools/bootstrap.py kubernetes & build=$$!; \
	trap 'kill $$build 2>/dev/null' EXIT; trap 'exit 130' INT TERM; \
	$(PYTHON) tools/bootstrap.py page images; \
	$(BIN)/python tools/dist.py wheels || echo "==> tests of the packed release will be skipped" >&2; \
	reason=$$($(BIN)/python -c 'from network_mapper.testing import sandbox; print(sandbox.obstacle() or "")') && \
	if [ -z "$$reason" ]; then \
		$(BIN)/python -m network_mapper.testing.sandbox --net -- $(BIN)/python -m pytest $(ARGS); \
	else \
		echo "==> tests with network namespaces are skipped: $$reason" >&2; \
		$(BIN)/python -m pytest $(ARGS); \
	fi

.PHONY: test-cluster
test-cluster: venv ## Run the tests that need a whole cluster: two nodes, the image, the chart (ARGS="-k name")
	@$(PYTHON) tools/bootstrap.py test-tools node-tools cluster-programs
	@$(BIN)/python tools/image.py build >/dev/null
	@$(BIN)/python -m network_mapper.testing.sandbox --net -- $(BIN)/python -m pytest tests/nodes $(ARGS)

.PHONY: cluster-programs
cluster-programs: python ## Build the programs of the tests' cluster, into ~/.cache/network-mapper
	@$(PYTHON) tools/bootstrap.py cluster-programs

.PHONY: cluster-up
cluster-up: venv ## Start a cluster of two nodes on this machine, with this program's image on them (root on Linux)
	@$(PYTHON) tools/bootstrap.py test-tools node-tools cluster-programs
	@$(MAKE) --no-print-directory image >/dev/null
	@$(BIN)/python tests/cluster/up.py up --image build/image.tar

.PHONY: cluster-down
cluster-down: venv ## End that cluster and remove all of it
	@$(BIN)/python tests/cluster/up.py down

.PHONY: lint
lint: venv ## Check style, types, the rooms' imports, and the lock files
	$(BIN)/ruff check $(PYTHON_FILES)
	$(BIN)/ruff format --check $(PYTHON_FILES)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	@! grep -n '://' requirements.lock requirements-dev.lock || \
		{ echo "Error: lock files name hashes, never addresses; run make lock" >&2; exit 1; }
	@git ls-files '*.py' '*.c' '*.h' '*.md' '*.sh' | while read -r file; do \
		[ ! -e "$$file" ] || [ "$$(wc -l < "$$file")" -le $(LONGEST_FILE) ] || \
		{ echo "Error: $$file has more than $(LONGEST_FILE) lines; a file holds one idea" >&2; exit 1; }; done

.PHONY: format
format: venv ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix $(PYTHON_FILES)
	$(BIN)/ruff format $(PYTHON_FILES)

.PHONY: docs
docs: venv ## Write what comes from the code: docs/{cli,configuration,chart}.md, parts of the chart, and its profiles
	@$(BIN)/python -m network_mapper.cli.markdown docs/cli.md
	@$(BIN)/python -m network_mapper.cli.reference docs/configuration.md
	@$(BIN)/python tools/chart.py
	@$(BIN)/python tools/profiles.py

.PHONY: dist
dist: venv ## Pack a release into dist/ (BASE_URL=https://... is where it will be downloaded from)
	@$(BIN)/python tools/dist.py $(if $(BASE_URL),--base-url "$(BASE_URL)") dist

.PHONY: image
image: venv ## Build the image without a container engine, as build/image.tar (ARCH=arm64 for the other architecture)
	@mkdir -p build && $(BIN)/python tools/image.py build $(if $(ARCH),--arch "$(ARCH)") --output build/image.tar

.PHONY: bench
bench: venv ## Measure what is promised (BENCH=NAME for one); results go to bench/results/
	@$(BIN)/python bench/run.py $(BENCH)

.PHONY: cache
cache: python ## Fetch and build what other targets need, into ~/.cache/network-mapper
	@$(PYTHON) tools/bootstrap.py cache

.PHONY: lock
lock: python ## Resolve the dependencies anew and write the lock files
	@$(PYTHON) tools/bootstrap.py lock

.PHONY: clean
clean: ## Remove what was built and installed here
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
