# make bench     the whole main job: install, measure, write reports/leaderboard.md
# make test      install, lint, tests: at least one of every behaviour, in about ten minutes on two cores
# make test-all  install, lint, every test: those marked slow too
# make lint      ruff and mypy
# make docs      the documentation, in build/docs; opens without a server
# make gpu       what holds on this machine's GPU, with the Python that has torch: make gpu PYTHON=/path/to/python
# make clean     remove what was built and measured here, the environment included

PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= torch,keras,offline,dev

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
RESULTS := .isotune/benchmark.json
TYPED := build/typed
SPHINX := $(VENV)/.installed-docs
# Hundreds of processes import isotune: each would compile it anew where the environment keeps nothing compiled.
export PYTHONDONTWRITEBYTECODE :=
# tests/conftest.py says which tests stay together
PYTEST = $(BIN)/python -m pytest -n logical --dist loadscope --no-loadscope-reorder

# The environment of this checkout where it is installed, unless a Python is named; another needs torch alone.
GPU_PYTHON = $(if $(filter file default,$(origin PYTHON)),$(if $(wildcard $(INSTALLED)),$(BIN)/python,$(PYTHON)),$(PYTHON))

.PHONY: bench test test-all lint docs gpu clean
.DELETE_ON_ERROR:

bench: $(INSTALLED)
	mkdir -p $(dir $(RESULTS))
	$(BIN)/python -m pytest benchmarks/ --verify --benchmark-json=$(RESULTS)
	$(BIN)/isotune report $(RESULTS) --out reports --replace
	@echo "the commands are in $(BIN): source $(BIN)/activate, then isotune --help"

test: lint
	$(PYTEST) -m "not slow"

test-all: lint
	$(PYTEST)

# mypy is shown the package as it is installed: adapters/ and the others stand inside isotune/ there.
lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf $(TYPED) && mkdir -p $(TYPED)
	cp -R isotune $(TYPED)/isotune
	cp -R adapters $(TYPED)/isotune/adapters
	cp -R benchmarks/protocols $(TYPED)/isotune/protocols/builtin
	cp -R reference_results $(TYPED)/isotune/reference_results
	cd $(TYPED) && $(abspath $(BIN))/mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache -p isotune

gpu:
	$(GPU_PYTHON) benchmarks/validation/gpu $(if $(WHEELS),--wheels $(WHEELS))

# A warning is an error: a link that leads nowhere, a name that the reference does not know.
docs: $(SPHINX)
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -E --doctree-dir build/doctrees -c docs . build/docs
	@echo "build/docs/index.html"

# The documentation is made from the code: isotune is installed beside Sphinx, and no framework is needed.
$(SPHINX): pyproject.toml
	[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[docs]'
	touch $@

$(INSTALLED): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "there is no $(PYTHON); name a Python 3.11 or newer: make PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "isotune needs Python 3.11 or newer, and $(PYTHON) is older; name another: make PYTHON=python3.13" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[$(EXTRAS)]'
	touch $@

clean:
	rm -rf $(VENV) build dist .isotune .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks isotune.egg-info
