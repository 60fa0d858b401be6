PYTHON ?= python3
PORT ?= 8000
DATA ?= .data
VENV := .venv
BIN := $(VENV)/bin
MUTATION := .venv-mutation
PINS := requirements/bootstrap.txt requirements/runtime.txt pyproject.toml

.PHONY: run test browser pictures simulation model faults ordeal frontdoor corpus schemathesis planted coverage mutation dashboard-at-size doctor-at-size bench bench-growth lint audit types check format requirements clean venv venv-dev venv-browser

venv: $(VENV)/.runtime
venv-dev: $(VENV)/.dev
venv-browser: $(VENV)/.browser

run: venv
	@exec $(BIN)/python -m billing_project.supervisor --stop-with-parent --port "$(PORT)" --data "$(DATA)"

test: venv-dev
	@$(BIN)/python -m pytest -n 2 --ignore=tests/browser $(ARGS)

# Every page and the journeys of customers, finance and partners in a real Chromium. Skips where there is none;
# BROWSER=required fails instead.
browser: venv-browser
	@$(BIN)/python -m pytest -n 2 --timeout 150 tests/browser $(ARGS)

# The pictures of the README, taken anew.
pictures: venv-browser
	@BROWSER=required $(BIN)/python -m pytest -q tests/browser/pictures.py

# Five hundred subscriptions over ten years, each invoice calculated a second time; ARGS="--seed 2 --years 3" for others.
simulation: venv-dev
	@$(BIN)/python -m tests.simulation $(ARGS)

# Fifty thousand steps of the product against a model of it, each answer compared; ARGS="--steps 1000 --seed 2" for others.
model: venv-dev
	@$(BIN)/python -m tests.model $(ARGS)

# Two thousand subscriptions renewed and invoiced by workers that are killed a dozen times; ARGS="--kills 30" for more.
ordeal: venv-dev
	@$(BIN)/python -m tests.faults ordeal $(ARGS)

# Twenty-five rounds of traffic in which everything there is gets killed, paused, cut off, filled up or told twice, and
# after which nothing is missing; ARGS="--rounds 1000" for more, ARGS="--seed 2 --only 7" for one round again.
faults: venv-dev
	@$(BIN)/python -m tests.faults rounds $(ARGS)

# Bugs planted on purpose, in rows and in code, and which proofs see each; ARGS="--only expiry" for some.
planted: venv-dev
	@$(BIN)/python -m tests.planted $(ARGS)

# Every branch of the modules that decide about money, periods, quotas and statuses, by tests without a server.
coverage: venv-dev
	@$(BIN)/python -m tests.mutation.coverage

# The same modules changed in every way that mutmut knows, and whether those tests notice; ARGS="--only
# billing.invoicing" for some, ARGS="--processes 2" for two at a time.
mutation: $(MUTATION)/.mutation
	@$(MUTATION)/bin/python -m tests.mutation $(ARGS)

# Roles, a dump, a lost database, a restore and a silent doctor, on servers of its own: docs/operations.md.
restore-drill: venv-dev
	@$(BIN)/python -m tests.operations

# How long the doctor takes with a million events, before and after they are sealed.
doctor-at-size: venv-dev
	@DOCTOR_EVENTS=1000000 $(BIN)/python -m pytest -q -s tests/domain/reporting/test_doctor_at_size.py $(ARGS)

# Slow, huge, broken and nonsensical requests next to healthy ones on the real server; ARGS="--seconds 5" for less.
frontdoor: venv-dev
	@$(BIN)/python -m tests.frontdoor $(ARGS)

# Two thousand cases of bad input for every endpoint that writes or lists; ARGS="--cases 100" for less, ARGS="--seed 1
# --only postKeys:27" for one again.
corpus: venv-dev
	@$(BIN)/python -m tests.corpus $(ARGS)

# Schemathesis, all checks and phases, by the schema that the server gives out; ARGS="--examples 10" for less.
schemathesis: venv-dev
	@$(BIN)/python -m tests.corpus.by_schema $(ARGS)

# The product next to what this machine allows, side by side; ARGS="--only single checks" for some, needs a quiet machine.
bench: venv-dev
	@$(BIN)/python -m bench $(ARGS)

# The same requests at ten thousand to ten million events; ARGS="--events 1000000" for less.
bench-growth: venv-dev
	@$(BIN)/python -m bench --only growth $(ARGS)

# Every page of an organization with a million events and a hundred thousand ledger entries, each within 300 ms.
dashboard-at-size: venv-dev
	@DASHBOARD_EVENTS=1000000 $(BIN)/python -m pytest -q -s tests/interfaces/storefront/test_dashboard_at_size.py $(ARGS)

lint: venv-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/bandit -q -c pyproject.toml -r bench billing billing_project examples marketplace

# What is known of holes in the packages that are installed. Needs a database of advisories: PyPI's own, or OSV's.
audit: venv-dev
	@$(BIN)/python -m tests.audit

types: venv-browser
	@$(BIN)/mypy

format: venv-dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# What Django itself can tell: settings, missing migrations, and whether production settings are safe.
check: venv-dev
	@DJANGO_SETTINGS_MODULE=billing_project.settings.production ALLOWED_HOSTS=billing.example.com \
	  SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') \
	  $(BIN)/python manage.py check --deploy --fail-level WARNING
	@$(BIN)/python manage.py makemigrations --check --dry-run

COMPILE = $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-config \
  --no-header --no-emit-index-url --no-emit-find-links pyproject.toml

# Each set is held to the versions of the one that it extends.
requirements: venv
	@$(COMPILE) -o requirements/runtime.txt
	@$(COMPILE) --group dev -c requirements/runtime.txt -o requirements/dev.txt
	@$(COMPILE) --group browser -c requirements/dev.txt -o requirements/browser.txt
	@$(COMPILE) --group dev --group mutation -c requirements/dev.txt -o requirements/mutation.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-config --no-header \
	  --no-emit-index-url --no-emit-find-links --group bootstrap -o requirements/bootstrap.txt

# The data folder stays: it is the customer's.
clean:
	@rm -rf $(VENV) $(MUTATION) staticfiles *.egg-info build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .mutation .coverage
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are newer than every file that decides what is installed, so a second start installs nothing.
$(VENV)/.runtime: $(PINS)
	@requirements/install $(PYTHON) $(VENV) requirements/runtime.txt
	@touch $@

$(VENV)/.dev: $(PINS) requirements/dev.txt
	@requirements/install $(PYTHON) $(VENV) requirements/dev.txt
	@touch $(VENV)/.runtime $@

$(VENV)/.browser: $(VENV)/.dev requirements/browser.txt
	@requirements/install $(PYTHON) $(VENV) requirements/browser.txt
	@touch $@

$(MUTATION)/.mutation: $(PINS) requirements/mutation.txt
	@requirements/install $(PYTHON) $(MUTATION) requirements/mutation.txt
	@touch $@
