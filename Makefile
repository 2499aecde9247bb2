# The two commands of the README, and what they are made of. Needs Python 3.11+ with pip and venv, and make.
PYTHON ?= python3
VENV := .venv
VLLM_VENV := .venv-vllm
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint oracle docs wheel clean

demo: $(VENV)/.installed  ## from raw text to a published model, on this machine
	$(BIN)/axk1 quickstart

test: lint  ## everything: lint, types, tests, three at a time for two cores; git-lfs and nginx among them
	.ci/programs
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

oracle: $(VENV)/.installed-test $(VLLM_VENV)/.installed  ## vLLM must say what the model says; Python 3.11, 2.5 GB
	$(BIN)/python -m pytest tests/oracles

docs: $(VENV)/.installed-test  ## the documentation as a site, into site/; `axk1 docs` opens it
	$(BIN)/python docs/site_builder.py

wheel: docs  ## build the wheel into dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) $(VLLM_VENV) build dist site axk1-quickstart

# torch first: it is pinned, so nothing that follows can bring another build.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) -e '.[test]'
	touch $@

# In an environment of its own: vLLM wants other versions than we do.
$(VLLM_VENV)/.installed: tests/oracles/vllm.txt
	$(PYTHON) -m venv --clear $(VLLM_VENV)
	$(VLLM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	touch $@
