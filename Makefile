# make study   the main job: a two-objective search on real data, in ./studies/digits
# make test    linters, type checker and tests
# Both make a virtual environment in .venv first. PYTHON chooses the interpreter (3.11 or newer).

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# One process per core with one thread each: networks of this size gain nothing from more threads.
TESTS = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

.PHONY: study test test-slow test-faults published methods gpu lint format clean

study: $(VENV)/.study
	$(BIN)/snnlightning study run configs/studies/digits.yaml

test: $(VENV)/.dev lint
	$(TESTS) -m "not slow and not faults"

test-slow: $(VENV)/.dev
	$(TESTS) -m slow

# What papers and tutorials say, trained again: about an hour on 2 idle cores; writes docs/published.md. DATA holds the data sets.
published: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.published $(if $(DATA),--data $(DATA))

# Parity, times and bounds of the GPU kernels, on a machine with a CUDA device; writes docs/gpu.md.
gpu: $(VENV)/.dev
	$(BIN)/python benchmarks/kernels/gpu.py --peers --parallel --precisions highest,high --results benchmarks/kernels/gpu.jsonl --output docs/gpu.md

# Every method trained on real data: a quarter of an hour; writes docs/methods.md. DATA as above.
methods: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.methods $(if $(DATA),--data $(DATA))

# Real kills of real processes, with a PostgreSQL and a SLURM of the tests' own (installed where they can be): ten minutes.
test-faults: $(VENV)/.dev
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev,postgres,grpc,slurm]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m faults tests/faults

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/.study: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[study]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	# The counter that ours is compared with, without the hundreds of megabytes it brings along and does not need for this.
	$(BIN)/python -m pip install -q --no-deps neurobench==2.3.0 snntorch==1.0.0
	touch $@ $(VENV)/.study

clean:
	rm -rf $(VENV) studies lightning_logs .pytest_cache .mypy_cache .ruff_cache .hypothesis
