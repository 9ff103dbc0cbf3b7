# make demo   train a ConvNet on real digits and look inside it
# make test   everything that must hold: style, types, the demo from a clean clone, the tests
# make lint   style and types alone
# make slow   the tests that are left out above, for their time
# make docs   the documentation site, build/site/index.html; its examples run meanwhile
# make bench  speed and memory beside PyTorch and other engines, a few minutes
# make bench-quick  the training step beside PyTorch's, under a minute
# make bench-all    the scripts behind every published figure
# make clean  remove what the others made
#
# Python 3.11 or later is all they need: each makes the virtual environment .venv and installs
# there. Another Python: make demo PYTHON=python3.13. Without the comparison with PyTorch, which
# is a large download on some machines: make test EXTRAS=test

PYTHON ?= python3
EXTRAS ?= dev
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.PHONY: demo test lint smoke unit docs slow bench bench-quick bench-all clean
.NOTPARALLEL:

demo: $(VENV)/installed-plot
	$(BIN)/tinygrad-cnn demo

test: lint smoke unit docs

lint: $(VENV)/installed-$(EXTRAS)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

smoke: $(VENV)/installed-$(EXTRAS)
	$(BIN)/pytest -m slow tests/test_clean_clone.py

# A process for each core, with one thread for matrix products: more would get in each other's way.
unit: $(VENV)/installed-$(EXTRAS)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile

docs: $(VENV)/installed-docs
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/site

slow: $(VENV)/installed-$(EXTRAS)
	$(BIN)/pytest -m slow

# Where the figures go; the published ones are in benchmarks/results.
RESULTS ?= build/bench
JUDGE := training_step inference step_memory peers scalars growth
OTHERS = $(filter-out $(JUDGE),$(basename $(notdir $(wildcard benchmarks/[!_]*.py))))
# Seconds that peers.py waits for an engine's first steps: tinygrad takes minutes for some networks.
PATIENCE ?= 10
bench-peers := --patience $(PATIENCE)
bench-growth := --plot $(RESULTS)/growth.png

bench: $(addprefix bench-,$(JUDGE))

bench-all: bench $(addprefix bench-,$(OTHERS))

bench-quick: $(VENV)/installed-bench
	$(BIN)/python benchmarks/training_step.py --quick --json $(RESULTS)/quick.json

bench-%: $(VENV)/installed-bench
	@mkdir -p $(RESULTS)
	$(BIN)/python benchmarks/$*.py --json $(RESULTS)/$*.json $(bench-$*)

clean:
	rm -rf $(VENV) build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-%: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --editable '.[$*]'
	@touch $@
