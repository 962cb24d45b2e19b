# Every target makes the virtual environment that it needs, from nothing but a Python >= 3.11 with its venv module.
#   make test PYTHON=python3.13 VENV=.venv-3.13     another Python, beside the first
#   make test ARGS="tests/unit -k label" JOBS=0     arguments for the tool; JOBS=0: in one process

PYTHON ?= python3
VENV   ?= .venv-dev
JOBS   ?= auto
ARGS   ?=

# A lock is complete (tests/unit/test_locks.py), so it is installed as it is: no resolver is asked. Most of it is never
# imported, so what is gets compiled then.
PIP     = -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-compile
THOROUGH = HYPOTHESIS_PROFILE=thorough
PYTEST  = -m pytest -n $(JOBS) --dist worksteal
RULES   = purposeguard/notices/trendmicro_jp
# The core, whose branches are all covered: what decides and what enforces, not the rooms at the rim.
CORE    = purposeguard/*.py,purposeguard/project/*.py,purposeguard/notice/*.py,purposeguard/policy/*.py,purposeguard/values/*.py,purposeguard/runtime/*.py

# A stamp bears the Python's version: a VENV met with another Python is made anew, and `--clear` takes the stamps along.
# A folder without a stamp was not made here, and is left alone.
PYVER  := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
MADE    = .made-$(PYVER)
TEST    = $(VENV)/.test
DEV     = $(VENV)/.dev
DEMO    = .venv-demo/.demo

# With it set, each of the many processes that tests start would compile the library anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help env lowest-env dbt-env demo demo-services test test-all lint format types layers generated docs site dist coverage lowest lowest-services newest deep bench bench-data bench-services bench-plugin third-party adopt-apps mutation requirements ci clean

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

# What the fast tests run on. Everything else is added to it in the same folder, with the same versions.
$(TEST): $(VENV)/$(MADE) requirements/build.txt requirements/test.txt pyproject.toml
	$(call install,requirements/test.txt)

$(DEV): $(TEST) requirements/dev.txt
	$(call install,requirements/dev.txt)

$(DEMO): .venv-demo/$(MADE) requirements/build.txt requirements/demo.txt pyproject.toml
	$(call install,requirements/demo.txt)

# The peers want older libraries than the project is developed with, hence a folder of their own.
$(VENV)-bench/.bench: $(VENV)-bench/$(MADE) requirements/build.txt requirements/bench.txt pyproject.toml
	$(call install,requirements/bench.txt)

# So does dbt, of which the tests ask nothing but to build a project.
$(VENV)-dbt/.dbt: $(VENV)-dbt/$(MADE) requirements/dbt.txt
	@echo "installing requirements/dbt.txt into $(@D)"
	@$(@D)/bin/python $(PIP) --require-hashes --only-binary :all: -r requirements/dbt.txt
	@touch $@

$(VENV)-apps/.apps: $(VENV)-apps/$(MADE) requirements/build.txt requirements/apps.txt pyproject.toml
	$(call install,requirements/apps.txt)

$(VENV)-lowest/.lowest: $(VENV)-lowest/$(MADE) requirements/build.txt requirements/lowest.txt pyproject.toml
	$(call install,requirements/lowest.txt)

env: $(DEV) ## only make the environment, with all that development needs

lowest-env: $(VENV)-lowest/.lowest

dbt-env: $(VENV)-dbt/.dbt

$(VENV)/.mutation: $(DEV) requirements/mutation.txt
	@$(VENV)/bin/python $(PIP) --require-hashes -r requirements/mutation.txt
	@touch $@

# --- what people ask for --------------------------------------------------------------------------------------------

demo: $(DEMO) ## run the example backend's story
	@.venv-demo/bin/python -m examples.shop.demo $(ARGS)

demo-services: $(DEV) ## two services: what of a purpose crosses from one to the other
	@$(VENV)/bin/python -m examples.services.demo $(ARGS)

test: $(TEST) ## all that finds a mistake in a change, without the slow kinds
	$(VENV)/bin/python $(PYTEST) $(ARGS)

test-all: $(DEV) $(VENV)-dbt/.dbt ## the same and the slow kinds: Spark, type checkers, pages, seeded faults, processes
	$(THOROUGH) $(VENV)/bin/python $(PYTEST) -m "not deep" $(ARGS)

lint: $(DEV) ## ruff: rules and format; the spelling of what people read
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/codespell *.md docs purposeguard

format: $(DEV) ## mend what ruff can mend
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

PYRIGHT = PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(VENV)/bin/pyright --pythonpath $(VENV)/bin/python
# pyright would ask for its own newest version at every run; the pinned one is the one that counts. The example has a
# configuration of its own, in which nothing is switched off.
types: $(DEV) ## mypy and pyright, both strict; the example without a single ignore
	@$(VENV)/bin/mypy & mypy=$$!; \
	    $(PYRIGHT); pyright=$$?; $(PYRIGHT) -p examples; examples=$$?; \
	    wait $$mypy && [ $$pyright$$examples = 00 ]

layers: $(DEV) ## import-linter: who may import whom
	$(VENV)/bin/lint-imports --no-cache

generated: $(DEV) ## the generated module and the schema are what their sources say
	$(VENV)/bin/purposeguard codegen $(RULES)/notice.toml -o $(RULES)/__init__.py --check
	$(VENV)/bin/purposeguard schema -o purposeguard/notices/notice.schema.json --check

docs: $(DEV) site ## the documentation as a site, in build/docs/dev: links, anchors and pictures lead somewhere

# A release is a folder beside the others: `make docs DOCS=0.2.0`. DOCS_BASE is the path under which they are served.
DOCS        = dev
SITE_PYTHON = $(VENV)/bin/python
export DOCS_BASE ?= /
site:
	@DOCS_VERSION=$(DOCS) $(SITE_PYTHON) -m sphinx -q -W --keep-going -n -j 2 -c docs -d build/doctrees . build/docs/$(DOCS)
	@$(SITE_PYTHON) docs/versions.py build/docs

$(VENV)-dist/.dist: $(VENV)-dist/$(MADE) requirements/dist.txt
	@echo "installing requirements/dist.txt into $(@D)"
	@$(@D)/bin/python $(PIP) --require-hashes --only-binary :all: -r requirements/dist.txt
	@touch $@

# PROJECT_URL is the repository that the metadata and the links of README lead to.
dist: $(DEV) $(VENV)-dist/.dist ## wheel, sdist and SBOM in dist, reproducible; README's commands with the wheel alone
	@$(VENV)/bin/python -m tests.dist $(VENV)-dist/bin

# The tests of the core: to trace the others would cost minutes, and they reach nothing of it that these do not.
CORE_TESTS = tests/unit tests/project tests/bypass tests/properties tests/differential tests/concurrency
# Without what runs no branch of the core that they leave: thousands of generated cases, and the locks. `test-all` has it.
BEYOND     = tests/differential/test_circumstances.py tests/differential/test_comparison.py \
             tests/differential/test_comparison_of_facts.py tests/differential/test_reference.py tests/unit/test_locks.py \
             tests/properties/test_announced.py tests/properties/test_reload.py tests/properties/test_third_parties.py
# What runs no branch alone either, and takes three times as long when it is traced. Whoever adds a branch that only these
# tests run gets less than 100 %, and takes the file out of the list. The gate runs them with `lowest`.
UNTRACED   = $(patsubst %,tests/bypass/test_%.py,seal_models seal_reports sealed_values) \
             $(patsubst %,tests/concurrency/test_%.py,elsewhere first_reads opening replace_under_fire) \
             $(patsubst %,tests/properties/test_%.py,cache circumstances invariants seals tags_file) \
             $(patsubst %,tests/unit/test_%.py,cli diff_command generated_files inventory_command new)
# In an environment by its stamp; the gate names that of the lowest versions, which the core is to be tested with, too.
COVERED    = $(DEV)
coverage: $(COVERED) ## tests of the core, which run every branch of it
	$(<D)/bin/python $(PYTEST) --cov --cov-report= $(CORE_TESTS) $(patsubst %,--ignore=%,$(BEYOND) $(UNTRACED)) $(ARGS)
	$(<D)/bin/coverage report --include='$(CORE)' --fail-under=100

# What hangs on the version of a dependency: the core on pydantic, the adapters and governance on what they adapt.
ON_PYDANTIC = pydantic personal fields copies withholding access rows plan parsing schema json cli public_api
# The gate says AFTER_COVERAGE=yes: `coverage` has just run those of the core here, except the untraced ones.
OF_CORE   = $(if $(AFTER_COVERAGE),$(UNTRACED),$(wildcard $(ON_PYDANTIC:%=tests/unit/test_%*.py)) tests/project)
VERSIONED = $(OF_CORE) tests/adapters tests/governance tests/testing/strategies tests/testing/plugin
LONG      = tests/adapters/test_conformance.py tests/adapters/sql/test_tpc.py tests/adapters/sql/test_generated.py \
            tests/adapters/spark/test_perturbed.py tests/adapters/sqlalchemy/test_changed_columns.py tests/governance/ledger/test_killed.py \
            tests/governance/ledger/test_tampering.py tests/governance/test_requests_at_once.py \
            tests/governance/test_requests_model.py tests/governance/test_retention.py tests/governance/test_forks.py \
            tests/governance/test_propagation.py tests/governance/ledger/test_at_once.py tests/adapters/dbt/test_build.py \
            tests/adapters/dbt/test_perturbed.py tests/adapters/test_row_rules.py tests/adapters/sql/test_mutated.py \
            tests/adapters/duckdb/test_worlds.py tests/adapters/frames/test_rows.py tests/testing/strategies/test_questions.py \
            tests/governance/test_people_and_time.py tests/governance/test_preferences.py tests/governance/test_roster.py \
            tests/governance/test_rolling_upgrade.py tests/governance/test_subjects_stateful.py tests/governance/test_waits.py \
            tests/governance/test_wrong_clocks.py tests/governance/ledger/test_archiving.py tests/governance/test_forgetting.py \
            tests/governance/test_recorded_notices.py tests/governance/test_stored_evidence.py
# Governance asks both databases the same; of PostgreSQL its store is enough here.
HERE      = -k "not (governance and postgresql) or test_store"
lowest: $(VENV)-lowest/.lowest ## with the lowest version allowed of each dependency: the tests that touch one
	$(VENV)-lowest/bin/python $(PYTEST) -m "not (browser or checkers or deep or pages)" $(VERSIONED) $(LONG:%=--ignore=%) $(HERE) $(ARGS)

lowest-services: $(VENV)-lowest/.lowest ## likewise: the tests of frameworks that services run on
	$(VENV)-lowest/bin/python $(PYTEST) tests/integrations tests/django $(ARGS)

# Over the environment of `dev`: what is newer there hides it.
$(VENV)-newest/.newest: $(VENV)-newest/$(MADE) $(DEV) requirements/newest.txt
	@echo "installing requirements/newest.txt into $(@D)"
	@$(@D)/bin/python $(PIP) --require-hashes --only-binary :all: -r requirements/newest.txt
	@$(VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"), "$(CURDIR)", sep="\n")' \
	    >"$$($(@D)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/dev.pth"
	@touch $@

NEWEST = tests/adapters/duckdb tests/adapters/frames tests/adapters/test_conformance.py \
         $(patsubst %,tests/adapters/sql/test_%.py,functions narrowed settings)
# Whatever is asked of another engine by its name, `test-all` asks with the same versions.
OF_DUCKDB = -k "not ([arrow or arrow] or pyarrow or dask or pandas or polars or sqlite) or duckdb"
newest: $(VENV)-newest/.newest ## with releases that the other tests cannot be run with yet: DuckDB 2
	$(VENV)-newest/bin/python $(PYTEST) $(NEWEST) $(OF_DUCKDB) $(ARGS)

deep: $(DEV) ## the long property tests: millions of cases
	HYPOTHESIS_PROFILE=deep $(VENV)/bin/python $(PYTEST) -m deep $(ARGS)

bench: $(VENV)-bench/.bench $(DEV) ## decisions, rows and services, their floors and peers (ARGS="--compare OLD.json": the first two)
	@$(VENV)-bench/bin/python -m benchmarks $(ARGS)
	@$(if $(ARGS),,$(VENV)/bin/python -m benchmarks.services)

bench-services: $(DEV) ## what each integration adds to a request, a message or a record
	@$(VENV)/bin/python -m benchmarks.services $(ARGS)

bench-data: $(DEV) ## the data plane: each engine by itself, and held to a notice
	@$(VENV)/bin/python -m benchmarks.data $(ARGS)

bench-plugin: $(DEV) ## the project's own tests, with the pytest plugin and without
	@$(VENV)/bin/python -m benchmarks.plugin $(ARGS)

third-party: $(VENV)-apps/.apps ## the own tests of three applications, on guarded engines
	@$(VENV)-apps/bin/python tests/third_party/suites.py $(ARGS)

# Each application has an environment of its own in build/adopt-apps, with the Python that its lock is made for.
adopt-apps: $(TEST) ## adopt four applications that do not know the library; APPS="ihatemoney" takes one, APPS="--violations" seeds violations only
	@$(VENV)/bin/python -m tests.third_party.adoption $(APPS)

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
