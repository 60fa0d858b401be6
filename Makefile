PYTHON ?= python3
PORT ?= 8000
DATA ?= .data
VENV := .venv
BIN := $(VENV)/bin
PINS := requirements/bootstrap.txt requirements/runtime.txt pyproject.toml

.PHONY: run test lint types check format requirements clean venv venv-dev

venv: $(VENV)/.runtime
venv-dev: $(VENV)/.dev

# The stamps are newer than every file that decides what is installed, so a second start installs nothing.
$(VENV)/.runtime: $(PINS)
	@requirements/install $(PYTHON) $(VENV) requirements/runtime.txt
	@touch $@

$(VENV)/.dev: $(PINS) requirements/dev.txt
	@requirements/install $(PYTHON) $(VENV) requirements/dev.txt
	@touch $(VENV)/.runtime $@
