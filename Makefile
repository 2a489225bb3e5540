# Everything happens in .venv, which is made from the pinned lists in requirements/ and is
# brought up to date only when they change.
VENV := .venv
BIN := $(VENV)/bin
SUPPORTED = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for python in python3.11 python3.12 python3 python; do \
	$$python -c '$(SUPPORTED)' 2>/dev/null && echo $$python && break; done)
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-compile
PINS := requirements/constraints.txt
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help sim test lint clean

help: ## say what can be made
	@echo 'Usage: make TARGET'
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

sim: $(VENV)/.runtime ## set up, then drive three episodes: make sim ARGS='task:=SafetyCarGoal1-v0'
	$(BIN)/spowl sim $(ARGS)

test: $(VENV)/.test ## set up, then run every test and linter: make test ARGS='-k contract'
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.test ## check style and types only
	$(BIN)/python -m pytest test/lint

clean: ## remove .venv and what builds leave
	rm -rf $(VENV) build dist install log *.egg-info

$(BIN)/python:
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or 3.12 is needed and neither was found.' \
		'Install one, or name it: make PYTHON=/path/to/python3.11'; exit 1; }
	@echo '== making $(VENV) with '"$$($(PYTHON) --version)"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements/runtime.txt requirements/simulation.txt $(PINS) setup.py package.xml | $(BIN)/python
	@echo '== installing ROS 2, ONNX Runtime and the simulation into $(VENV) (once, about a minute)'
	$(PIP_INSTALL) -r requirements/runtime.txt -c $(PINS)
	$(PIP_INSTALL) --no-deps -r requirements/simulation.txt
	$(PIP_INSTALL) --no-deps --editable .
	@touch $@

$(VENV)/.test: requirements/training.txt requirements/view.txt requirements/test.txt $(VENV)/.runtime
	@echo '== installing PyTorch and the test tools into $(VENV) (once, a few minutes)'
	$(PIP_INSTALL) -r requirements/training.txt -r requirements/view.txt -r requirements/test.txt -c $(PINS)
	@touch $@
