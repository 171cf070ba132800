# Every target works from a fresh clone: it makes .venv and installs what it needs, once.
#   make demo PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"   torch without CUDA

PYTHON ?= python3
PIP_ARGS ?=
DEMO_ARGS ?=
PYTEST_ARGS ?=
TEST_WORKERS ?= auto
BENCH_ARGS ?=
FUZZ_EXAMPLES ?= 2000
FUZZ_SECONDS ?= 300
SOAK_SECONDS ?= 3600

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(VENV)/bin/pip
INSTALLED := $(VENV)/.installed
INSTALLED_TEST := $(VENV)/.installed-test

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test check format bench certificate fuzz soak docs clean preflight

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-12s %s\n' "$$name" "$$text"; done

install: $(INSTALLED)  ## .venv with the package

demo: $(INSTALLED)  ## fit and certify a gate on real images, write runs/demo/
	$(VENV)/bin/gatekeeper demo $(DEMO_ARGS)

test: $(INSTALLED_TEST)  ## run every test
	$(PY) -m pytest -n $(TEST_WORKERS) --maxprocesses 4 --no-loadscope-reorder $(PYTEST_ARGS)

check: $(INSTALLED_TEST)  ## format, lint and types, changing nothing
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy

format: $(INSTALLED_TEST)  ## format the code and apply safe lint fixes
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

bench: $(INSTALLED)  ## recompute benchmarks/results/demo.json
	$(PY) -m benchmarks.demo $(BENCH_ARGS)

certificate: $(INSTALLED)  ## fit the demo's gate again and put record, certificate, report and bundle in their folders
	$(VENV)/bin/gatekeeper demo --seed 0 --out runs/certificate
	$(PY) -m benchmarks.records runs/certificate

fuzz: $(INSTALLED_TEST)  ## property tests with fresh seeds, then decoder and protocol for FUZZ_SECONDS each
	HYPOTHESIS_PROFILE=fuzz FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(PY) -m pytest -m hypothesis $(PYTEST_ARGS)
	$(PY) -m benchmarks.serving_long fuzz --seconds $(FUZZ_SECONDS)

soak: $(INSTALLED_TEST)  ## one server under all kinds of requests for SOAK_SECONDS, and its memory
	$(PY) -m benchmarks.serving_long soak --seconds $(SOAK_SECONDS)

docs: $(INSTALLED_TEST)  ## check what the documents say: doctests, links, tables
	$(PY) -m pytest gatekeeper tests/test_docs.py $(PYTEST_ARGS)

clean:  ## remove caches and build products; .venv and runs/ stay
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

preflight:
	@command -v git >/dev/null || { echo "git is missing; install the package 'git'" >&2; exit 2; }
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing; install the package 'python3', or name another by PYTHON=…" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed and $(PYTHON) is $$($(PYTHON) -V 2>&1); name another by PYTHON=…" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments; install the package 'python3-venv'" >&2; exit 2; }

# pip arrives last, so a .venv that an interrupted run left half made is completed.
$(PIP): | preflight
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml setup.py | $(PIP)
	$(PY) -m pip install $(PIP_ARGS) -e "$$( [ -e $(INSTALLED_TEST) ] && echo '.[test]' || echo . )"
	@touch $@

$(INSTALLED_TEST): pyproject.toml setup.py | $(PIP)
	$(PY) -m pip install $(PIP_ARGS) -e '.[test]'
	@touch $(INSTALLED) $@
