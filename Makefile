# `make` lists the targets. Each makes the environment it needs; all that has to be there is
# python3 (3.11 or newer, with venv), make, git and a way to PyPI.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PINS := .ci/requirements
# Where it is installed, the installed one is used.
PROMETHEUS := $(if $(shell command -v prometheus),,$(BIN)/prometheus)

# How many tests at once: as many as cores. The bed's tests start programs of their own and have
# deadlines in real time; with more of them at once they wait for each other.
JOBS ?= auto

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "make %-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---- what users and contributors run ------------------------------------------------------------

.PHONY: demo
demo: $(VENV)/bed.stamp $(if $(CHECKS),$(PROMETHEUS)) ## a release from start to promotion, with a real proxy and no cluster; KEEP=1 leaves it running, CHECKS=1 lets metrics decide
	@$(BIN)/python -m e2e.demo $(if $(KEEP),--keep) $(if $(CHECKS),--checks)

.PHONY: test
test: $(VENV)/dev.stamp ## the tests: units, the simulated world, scenarios on the bed; ARGS="-k NAME" picks some
	@$(BIN)/pytest -n $(JOBS) --dist loadscope -m "not slow" $(ARGS)

.PHONY: slow
slow: $(VENV)/dev.stamp ## the tests that take long: what the image installs, the roles against whole releases
	@$(BIN)/pytest -n $(JOBS) --dist loadscope -m slow $(ARGS)

.PHONY: controlplane
controlplane: $(VENV)/bed.stamp ## build etcd and Kubernetes once, into a cache outside the tree; needs Go
	@$(BIN)/python -m e2e.controlplane.build

.PHONY: e2e
e2e: $(VENV)/dev.stamp ## the scenarios on a real control plane, in a network namespace of its own; ARGS=PATHS picks some
	@$(BIN)/python -m e2e.controlplane $(ARGS)

.PHONY: differential
differential: $(VENV)/dev.stamp ## random operations on the emulator and on the real API server, and what differs; ARGS="--seed 1 --operations 2000"
	@$(BIN)/python -m e2e.differential $(ARGS)

.PHONY: cycles
cycles: $(VENV)/bed.stamp ## promotions and aborts one after the other under load, on the real control plane; ARGS=--help
	@$(BIN)/python -m e2e.controlplane.cycles $(ARGS)

.PHONY: faults
faults: $(VENV)/dev.stamp ## thousands of planned faults in virtual time, and the mistakes that they must catch; SEED=... replays one
	@$(BIN)/python -m tests.world.faults $(if $(SEED),--seed '$(SEED)') $(ARGS)

.PHONY: check
check: $(VENV)/dev.stamp ## style, types, directions of imports, declared dependencies; cheapest first
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/deptry controller
	$(BIN)/deptry e2e tests --ignore DEP002,DEP004
	$(BIN)/lint-imports
	$(BIN)/mypy

.PHONY: cover
cover: $(VENV)/dev.stamp ## every branch of the decisions and the words is tested
	@$(BIN)/pytest -n $(JOBS) --dist loadscope tests/controller/plan tests/controller/api \
	    --cov=controller.plan --cov=controller.api --cov-branch --cov-fail-under=100

.PHONY: kills
kills: $(VENV)/bed.stamp ## SIGKILL and SIGSTOP at random moments of releases under load; KILLS=100 SEED=1
	@$(BIN)/python -m e2e.kills --kills $(or $(KILLS),100) --seed $(or $(SEED),1)

.PHONY: fuzz
fuzz: $(VENV)/dev.stamp $(VENV)/fuzz.stamp ## anything in annotations, in any order; SECONDS=600 SEED=1, ARGS="--runs 10000"
	@$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),600) --seed $(or $(SEED),1) $(ARGS)

.PHONY: mutants
mutants: $(VENV)/dev.stamp $(VENV)/mutants.stamp ## small mistakes in plan/ and api/ that the unit tests must notice; ARGS="plan/ramp" picks some
	@$(BIN)/python -m tests.mutants $(ARGS)

.PHONY: prometheus
prometheus: $(BIN)/prometheus ## Debian's Prometheus for releases that metrics decide; unpacked into .venv, no service starts

$(BIN)/prometheus: | $(VENV)/bed.stamp
	@test ! -w /var/lib/apt/lists || apt-get update -qq
	@unpacked=$$(mktemp -d) && cd $$unpacked && apt-get download -qq prometheus && \
	    dpkg-deb --extract prometheus_*.deb . && install usr/bin/prometheus $(CURDIR)/$@ && \
	    rm -rf $$unpacked && echo "$@ is there"

.PHONY: bench
bench: $(VENV)/bed.stamp ## how fast, how big, how many requests lost
	@$(BIN)/python -m e2e.bench $(ARGS)

.PHONY: judge
judge: $(VENV)/dev.stamp ## ten thousand simulated releases of each kind, judged beside the rules of others
	@$(BIN)/python -m tests.judge $(ARGS)

.PHONY: clean
clean: ## remove the environment and all caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	rm -rf .coverage .coverage.* htmlcov build dist
	find controller e2e tests -name __pycache__ -prune -exec rm -rf {} +

# ---- the environment ----------------------------------------------------------------------------

UV_INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check

# The stamp of a group of pyproject.toml: its pins are installed, and the project itself, editable,
# so that `serinus` and `kubectl-canary` are programs in .venv/bin. The version is part of the
# project's metadata, hence the package's __init__.py.
# uv trusts the certificates it brings, then those of the system; where neither leads to an index
# (a mirror that only pip is told of), pip does the same, more slowly.
$(VENV)/%.stamp: $(PINS)/%.txt pyproject.toml controller/__init__.py $(VENV)/uv.stamp
	@echo "installing $<" >&2
	@$(UV_INSTALL) --require-hashes --requirement $< 2>/dev/null || \
	    $(UV_INSTALL) --system-certs --require-hashes --requirement $< || \
	    $(PIP_INSTALL) --require-hashes --requirement $<
	@$(UV_INSTALL) --offline --no-deps --no-build-isolation --editable .
	@touch $@

# uv installs the groups in a few seconds. It is pinned and hashed like everything else.
$(VENV)/uv.stamp: $(PINS)/uv.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("$(PYTHON) is " + \
	    sys.version.split()[0] + ": Serinus needs 3.11 or newer, say which with PYTHON=...")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) cannot make virtual environments: install its venv module" \
	        "(Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@echo "making $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(PIP_INSTALL) --require-hashes --requirement $<
	@touch $@

# The pins that are there stay as long as pyproject.toml allows them; UPGRADE=1 takes the newest.
# bed is kept to the versions of dev: one environment can be both. run is what a user gets: the image.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --custom-compile-command "make requirements" $(if $(UPGRADE),--upgrade)

.PHONY: requirements
requirements: $(VENV)/uv.stamp ## pin the dependencies of pyproject.toml again; UPGRADE=1 takes the newest
	@$(COMPILE) --group pyproject.toml:uv --output-file $(PINS)/uv.txt
	@$(COMPILE) pyproject.toml --group dev --output-file $(PINS)/dev.txt
	@$(COMPILE) pyproject.toml --group bed --constraint $(PINS)/dev.txt --output-file $(PINS)/bed.txt
	@$(COMPILE) pyproject.toml --constraint $(PINS)/dev.txt --output-file $(PINS)/run.txt
	@$(COMPILE) --group pyproject.toml:fuzz --constraint $(PINS)/dev.txt --output-file $(PINS)/fuzz.txt
	@$(COMPILE) --group pyproject.toml:mutants --constraint $(PINS)/dev.txt --output-file $(PINS)/mutants.txt
