# make            install into .venv, run the pipeline on the embedded tiny web, show the results
# make test       install and run the tests
# make develop    install the tests' dependencies too
# make lint       style, checked by ruff
# make real DATA=<folder>   the same pipeline on your own files, in workspaces/real (or DATA=<file, pattern, list, address>)
# make chat       talk to the final model (MODEL=base|sft|reasoner|chat|export; ROOT=workspaces/real for the one of `make real`)
# make ui         MLflow and Prefect in the browser, until Ctrl-C (ROOT as above)
# make cuda       exchange a CPU build of torch for the CUDA build
# make lock       write the pinned versions anew from pyproject.toml; UPGRADE=1 takes the newest

VENV := .venv
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
DATA ?=
PROFILE ?= real
MODEL ?= chat
ROOT ?= .
UPGRADE ?=
# Fits `torch` in pyproject.toml. Every other version stands in requirements.lock.
TORCH := 2.13.0

# Stage commands say `python`: the virtual environment's comes first. No tool sends usage reports.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DO_NOT_TRACK = true
export MLFLOW_DISABLE_TELEMETRY = true
export PREFECT_SERVER_ANALYTICS_ENABLED = false
export DVC_NO_ANALYTICS = 1
export HF_HUB_DISABLE_TELEMETRY = 1
# Bytecode is written when a module is first used: most of two gigabytes never is. Without it each start of DVC, MLflow
# or Prefect compiles thousands of modules anew.
unexport PYTHONDONTWRITEBYTECODE
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(VENV)/bin/python -m pip install --quiet --no-compile
# The lists are complete, so that nothing is resolved, and no file is taken whose hash they do not name.
LOCKED := $(PIP) --no-deps --require-hashes --requirement

.PHONY: all install develop test lint real chat ui cuda lock
all: install
	dvc repro
	@python -m flows.summary

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml requirements.lock
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or newer is needed; name one with make PYTHON=<path>." >&2; exit 1; }
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV): two minutes, more on a slow line"
	@$(LOCKED) requirements.lock
	@# By version only: builds for the CPU, for CUDA and from other indexes differ in their hashes. What it needs on Linux
	@# beside the list (CUDA libraries) it names with exact versions itself.
	@$(PIP) torch==$(TORCH)
	@# The checkout itself has no hash; setuptools, which installs it, comes from the list.
	@$(PIP) --no-deps --no-build-isolation --editable .
	@python -c 'import torch; torch.cuda.is_available() or print("torch runs on the CPU; for an NVIDIA GPU: make cuda")'
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed requirements-test.lock
	@$(LOCKED) requirements-test.lock
	@touch $@

develop: $(VENV)/.installed-test

test: develop
	python -m pytest -q $(TESTS)

lint: develop
	ruff check .
	ruff format --check .

real: install
	@python -m flows.workspace $(PROFILE) --inputs '$(DATA)'

chat: install
	@python -m crawl2chat.chat --model $(MODEL) --models '$(ROOT)/models'

ui: install
	@python -m flows.ui --root '$(ROOT)'

# === is exact: 2.13.0+cpu does not satisfy it, and the plain build on Linux brings CUDA.
cuda: install
	$(PIP) 'torch===$(TORCH)'

lock: install
	@$(PIP) uv
	python tools/update_lock.py $(if $(UPGRADE),--upgrade)
