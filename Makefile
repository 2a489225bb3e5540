# Everything happens in .venv, which is made from the pinned lists in requirements/ and is
# brought up to date only when they change. Another distribution than the default has a folder
# of its own: make sim ROS=kilted makes .venv-kilted.
ROS ?= jazzy
VENV := $(if $(filter jazzy,$(ROS)),.venv,.venv-$(ROS))
BIN := $(VENV)/bin
SUPPORTED = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3 python; do \
	$$python -c '$(SUPPORTED)' 2>/dev/null && echo $$python && break; done)
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-compile
PINS := requirements/constraints.txt
RUNTIME := requirements/$(ROS).txt requirements/runtime.txt
EXTRAS := $(patsubst %,requirements/%.txt,training report view sign docs wrap dataset test)
ARGS ?=
# Processes that share the tests, each a file at a time; 0: no other than the first.
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help sim test lint docs matrix environments baselines sbom clean

help: ## say what can be made
	@echo 'Usage: make TARGET'
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

sim: $(VENV)/.runtime ## set up, then drive three episodes: make sim ARGS='task:=SafetyCarGoal1-v0'
	$(BIN)/spowl sim $(ARGS)

test: $(VENV)/.test ## set up, then run every test and linter: make test ARGS='-m "not slow"'
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(ARGS)

lint: $(VENV)/.test ## check style and types only
	$(BIN)/python -m pytest test/lint

docs: $(VENV)/.test ## build the documentation into build/docs; a warning or a broken link fails
	$(BIN)/python -m sphinx --builder html --nitpicky --fail-on-warning --keep-going docs build/docs

matrix: $(VENV)/.test ## run the quick tests on each distribution and Python that is here
	$(BIN)/nox --session matrix $(ARGS)

environments: $(VENV)/.test ## install each extra from nothing and run every command in it
	$(BIN)/python -m benchmarks.environments $(ARGS)

baselines: $(VENV)/.test ## install OmniSafe, then train others' methods: make baselines ARGS='PointGoal1 CPO --seeds 0-2'
	$(PIP_INSTALL) --no-deps -r requirements/baselines.txt
	$(BIN)/python -m benchmarks.baselines $(or $(ARGS),--help)

sbom: $(VENV)/.test ## write sbom.json, the bill of materials of what runs on a robot
	$(BIN)/nox --session sbom

clean: ## remove .venv and what builds leave
	rm -rf .venv* .nox build dist install log *.egg-info

$(BIN)/python:
	@test -n '$(PYTHON)' || { echo 'Python 3.11, 3.12 or 3.13 is needed and none was found.' \
		'Install one, or name it: make PYTHON=/path/to/python3.11'; exit 1; }
	@echo '== making $(VENV) with '"$$($(PYTHON) --version)"
	$(PYTHON) -m venv $(VENV)

requirements/$(ROS).txt:
	@echo "ROS=$(ROS) is not supported: there are wheels of jazzy and kilted"; exit 1

$(VENV)/.runtime: $(RUNTIME) requirements/simulation.txt $(PINS) setup.py package.xml | $(BIN)/python
	@test -z "$$(ls -d $(VENV)/lib/python*/site-packages/ros_*_rclpy-* 2>/dev/null | grep -v ros_$(ROS)_)" \
		|| { echo '$(VENV) holds another ROS 2 distribution than $(ROS): run "make clean" first'; exit 1; }
	@echo '== installing ROS 2 $(ROS), ONNX Runtime and the simulation into $(VENV) (once, about a minute)'
	$(PIP_INSTALL) $(RUNTIME:%=-r %) -c $(PINS)
	$(PIP_INSTALL) --no-deps -r requirements/simulation.txt
	$(PIP_INSTALL) --no-deps --editable .
	@touch $@

$(VENV)/.test: $(EXTRAS) $(VENV)/.runtime
	@echo '== installing PyTorch and the test tools into $(VENV) (once, a few minutes)'
	$(PIP_INSTALL) $(EXTRAS:%=-r %) -c $(PINS)
	@touch $@
