# Every target makes the virtual environment that it needs, from nothing but a Python >= 3.11 with its venv module.
#   make test PYTHON=python3.13 VENV=.venv-3.13     another Python, beside the first
#   make test ARGS="tests/unit -k label" JOBS=0     arguments for the tool; JOBS=0: in one process

PYTHON ?= python3
VENV   ?= .venv-dev
JOBS   ?= auto
ARGS   ?=

# A lock is complete (tests/unit/test_locks.py), so it is installed as it is: no resolver is asked.
PIP     = -m pip install --quiet --disable-pip-version-check --no-input --no-deps
PYTEST  = -m pytest -n $(JOBS) --dist worksteal
RULES   = purposeguard/notices/trendmicro_jp
# The core, whose branches are all covered: the modules of the package itself, not its sub-packages at the rim.
CORE    = purposeguard/*.py

# A stamp bears the Python's version: a VENV met with another Python is made anew, and `--clear` takes the stamps along.
# A folder without a stamp was not made here, and is left alone.
PYVER  := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
MADE    = .made-$(PYVER)
DEV     = $(VENV)/.dev
DEMO    = .venv-demo/.demo

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint format types layers generated coverage optimised lowest deep bench bench-data bench-plugin mutation requirements ci clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 14

# --- environments ---------------------------------------------------------------------------------------------------

%/$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit("purposeguard needs Python 3.11 or later" if sys.version_info < (3, 11) else 0)'
	@if [ -e $* ] && ! ls $*/.made-* >/dev/null 2>&1; then \
	    echo "$* was not made by make: remove it, or name another folder with VENV=" >&2; exit 1; fi
	@echo "making $* with Python $(PYVER)"
	@$(PYTHON) -m venv --clear $*
	@touch $@

# First the tools that build the packages without wheels, and the project: nothing is built in isolation, which would
# take its tools from an index.
define install
	@echo "installing $(1) into $(@D)"
	@$(@D)/bin/python $(PIP) --require-hashes --only-binary :all: -r requirements/build.txt
	@$(@D)/bin/python $(PIP) --require-hashes --no-build-isolation -r $(1)
	@$(@D)/bin/python $(PIP) --no-build-isolation --no-index -e .
	@touch $@
endef

$(DEV): $(VENV)/$(MADE) requirements/build.txt requirements/dev.txt pyproject.toml
	$(call install,requirements/dev.txt)

$(DEMO): .venv-demo/$(MADE) requirements/build.txt requirements/demo.txt pyproject.toml
	$(call install,requirements/demo.txt)

# The peers want older libraries than the project is developed with, hence a folder of their own.
$(VENV)-bench/.bench: $(VENV)-bench/$(MADE) requirements/build.txt requirements/bench.txt pyproject.toml
	$(call install,requirements/bench.txt)

$(VENV)-lowest/.lowest: $(VENV)-lowest/$(MADE) requirements/build.txt requirements/lowest.txt pyproject.toml
	$(call install,requirements/lowest.txt)

$(VENV)/.mutation: $(DEV) requirements/mutation.txt
	@$(VENV)/bin/python $(PIP) --require-hashes -r requirements/mutation.txt
	@touch $@

# --- what people ask for --------------------------------------------------------------------------------------------

demo: $(DEMO) ## run the example backend's story
	@.venv-demo/bin/python -m examples.shop.demo $(ARGS)

test: $(DEV) ## run the whole test suite
	$(VENV)/bin/python $(PYTEST) $(ARGS)

lint: $(DEV) ## ruff: rules and format
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

format: $(DEV) ## mend what ruff can mend
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# pyright would ask for its own newest version at every run; the pinned one is the one that counts. The example has a
# configuration of its own, in which nothing is switched off.
types: $(DEV) ## mypy and pyright, both strict; the example without a single ignore
	$(VENV)/bin/mypy
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(VENV)/bin/pyright --pythonpath $(VENV)/bin/python
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(VENV)/bin/pyright --pythonpath $(VENV)/bin/python -p examples

layers: $(DEV) ## import-linter: who may import whom
	$(VENV)/bin/lint-imports --no-cache

generated: $(DEV) ## the generated module and the schema are what their sources say
	$(VENV)/bin/purposeguard codegen $(RULES)/notice.toml -o $(RULES)/__init__.py --check
	$(VENV)/bin/purposeguard schema -o purposeguard/notices/notice.schema.json --check

# Without the pages, and without tests of the rim: they reach nothing of the core that its own do not, and run on another
# Python and with other versions.
RIM = tests/third_party tests/testing tests/linting tests/faults tests/exporting tests/adapters
PROOFS = tests/end_to_end/test_shop_noninterference.py tests/end_to_end/test_shop_canaries.py tests/end_to_end/test_shop_stories.py
NO_CORE = $(RIM) $(PROOFS) tests/governance tests/docs tests/typing tests/end_to_end/test_shop_types.py
coverage: $(DEV) ## the tests of the core, and every branch of it run by them
	$(VENV)/bin/python $(PYTEST) --cov --cov-report= $(NO_CORE:%=--ignore=%) $(ARGS)
	$(VENV)/bin/coverage report --include='$(CORE)' --fail-under=100

# By the environment and not by `python -O`: the processes that the tests start inherit it. What is decided is decided in
# the core and by governance; that the rim has no `assert` either, ruff sees to (S101).
NOT_OPTIMISED = tests/typing tests/docs tests/end_to_end tests/properties tests/differential $(RIM)
optimised: $(DEV) ## the tests under python -O: nothing may hang on an assert
	PYTHONOPTIMIZE=1 $(VENV)/bin/python $(PYTEST) $(NOT_OPTIMISED:%=--ignore=%) $(ARGS)

# Without the pages, whose outputs are those of the versions that the project is developed with, without what needs no
# library but those that it tests with or none of a version that matters, and without an application that wants newer ones.
NO_VERSION = tests/testing/canaries tests/testing/effects tests/testing/noninterference/test_shop.py tests/end_to_end/test_demo.py
NO_LIBRARY = tests/third_party tests/docs tests/faults tests/linting tests/exporting tests/typing tests/properties tests/differential
lowest: $(VENV)-lowest/.lowest ## the tests with the lowest version allowed of each dependency
	$(VENV)-lowest/bin/python $(PYTEST) $(NO_LIBRARY:%=--ignore=%) $(NO_VERSION:%=--ignore=%) $(PROOFS:%=--ignore=%) $(ARGS)

deep: $(DEV) ## the long property tests: millions of cases
	HYPOTHESIS_PROFILE=deep $(VENV)/bin/python $(PYTEST) -m deep $(ARGS)

bench: $(VENV)-bench/.bench ## this library, its floors and its peers, in one run
	@$(VENV)-bench/bin/python -m benchmarks $(ARGS)

bench-data: $(DEV) ## the data plane: each engine by itself, and held to a notice
	@$(VENV)/bin/python -m benchmarks.data $(ARGS)

bench-plugin: $(DEV) ## the project's own tests, with the pytest plugin and without
	@$(VENV)/bin/python -m benchmarks.plugin $(ARGS)

mutation: $(VENV)/.mutation ## which changes to the code would no test notice?
	$(VENV)/bin/mutmut run $(ARGS)
	$(VENV)/bin/mutmut results

ci: ## the whole gate, as it runs before a change lands
	bash .ci/run

# Needs uv. Keeps the versions that still fit; ARGS=--upgrade takes the newest.
requirements: $(DEV) ## pin the development environments anew
	$(VENV)/bin/python -m tests.locks $(ARGS)

clean: ## remove everything made here
	rm -rf $(VENV) $(VENV)-* .venv-demo build dist mutants htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
