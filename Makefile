# make demo: a first look.  make test: every check.  make zoo: networks of others.  make help: this and the settings.
#
# Everything is installed into .venv and nowhere else. pip reads your own configuration (pip.conf, PIP_* variables) and
# PIP_ARGS. To choose a build of torch (CPU only, CUDA, ROCm), either name its index in PIP_ARGS, or run `make .venv`,
# install torch into .venv yourself, and go on: the version that constraints.txt pins is kept, whatever its build.

PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
CONSTRAINTS ?= constraints.txt
JOBS ?= 2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c $(CONSTRAINTS)

.PHONY: help demo test lint types docs zoo clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo    make .venv, install, compile and simulate the shipped network (examples/demo.py)'
	@echo 'make test    make .venv, install, run ruff, mypy and pytest'
	@echo 'make lint    ruff alone;  make types    mypy alone'
	@echo 'make docs    the documentation as a site that opens offline, build/site/index.html'
	@echo 'make .venv   the empty environment, to put a torch of your choice into it first'
	@echo 'make zoo     fetch networks of others (about 70 MB), compile them, compare with onnxruntime'
	@echo 'make clean   remove .venv, build folders and caches'
	@echo
	@echo 'settings     PYTHON=$(PYTHON)  VENV=$(VENV)  PIP_ARGS=$(PIP_ARGS)  CONSTRAINTS=$(CONSTRAINTS)  JOBS=$(JOBS)'
	@echo '             for example: make test PYTHON=python3.12 PIP_ARGS="--find-links wheels" JOBS=8'

demo: $(VENV)/.installed
	@$(BIN)/python examples/demo.py

test: lint types $(VENV)/.installed-dev
	@echo '==> pytest, $(JOBS) processes'
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS)

lint: $(VENV)/.installed-dev
	@echo '==> ruff'
	@$(BIN)/ruff check .

types: $(VENV)/.installed-dev
	@echo '==> mypy'
	@$(BIN)/mypy

docs: $(VENV)/.installed-dev
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo 'open build/site/index.html; search works where it is served: $(BIN)/python -m http.server -d build/site'

zoo: $(VENV)/.installed-dev
	@OMP_NUM_THREADS=1 PIP_ARGS='$(PIP_ARGS)' $(BIN)/python -m benchmarks.zoo

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# --- the environment: three stamps, each made once ------------------------------------------------------------------

.venv: $(BIN)/python

$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || { echo 'error: there is no $(PYTHON); try make PYTHON=python3.12'; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit( \
	    "error: $(PYTHON) is Python %d.%d; 3.11 or later is needed; try make PYTHON=python3.12" % v[:2])'
	@echo '==> making $(VENV) with $(PYTHON)'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	@echo '==> installing pinat-compile and what it needs into $(VENV) (torch is large: this may take minutes)'
	@$(PIP) 'setuptools>=77'
	@$(PIP) --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo '==> installing the tools for tests into $(VENV)'
	@$(PIP) --no-build-isolation --editable '.[dev]'
	@touch $@
