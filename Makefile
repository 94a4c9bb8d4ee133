# Everything runs in .venv, which `make setup` builds; other targets call it first.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: setup test lint study sweep validate bench docs tables clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@echo "Installing into .venv: about 170 packages and 2.6 GB, which takes some minutes without output."
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m compileall -q sparsim pointnet gmp validation
	touch $(STAMP)

test: setup lint docs
	$(BIN)/pytest -n auto --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

study: setup
	$(BIN)/python -m pointnet study -o build/study

sweep: setup
	$(BIN)/sparsim sweep eyeriss_like -o build/sweeps/eyeriss_like
	$(BIN)/sparsim sweep eyeriss_v2 -o build/sweeps/eyeriss_v2
	$(BIN)/sparsim sweep report build/sweeps/eyeriss_like
	$(BIN)/sparsim sweep report build/sweeps/eyeriss_v2

validate: setup
	$(BIN)/python -m validation

bench: setup
	mkdir -p build
	$(BIN)/python benchmarks/evaluate.py --json build/evaluate.json
	$(BIN)/python benchmarks/mapper.py --json build/mapper.json
	$(BIN)/python benchmarks/factor_policies.py --json build/factor_policies.json
	$(BIN)/python benchmarks/free_dataflow.py --json build/free.json
	$(BIN)/python benchmarks/eyeriss_v2.py --json build/eyeriss_v2.json
	$(BIN)/python benchmarks/sampling_speed.py --json build/sampling_speed.json
	$(BIN)/python benchmarks/sparse_conv.py --json build/sparse_conv.json
	$(BIN)/python benchmarks/pruning_accuracy.py --json build/pruning_accuracy.json
	$(BIN)/python benchmarks/monitor_overhead.py --json build/monitor_overhead.json
	$(BIN)/python benchmarks/network_table.py --rows build/networks.jsonl --document docs/results/networks.md
	$(BIN)/python benchmarks/energy_pruning.py --json build/energy-pruning.json
	$(BIN)/python benchmarks/sweep.py --json build/sweep.json
	$(BIN)/python benchmarks/machines.py --json build/machines.json --document docs/how-to/machines.md

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

tables: setup
	$(BIN)/python -m validation --write-docs
	$(BIN)/python -m validation.sparse_pe_page --write-docs
	$(BIN)/python -m validation.estimate_page
	$(BIN)/python -m validation.tutorial_notebooks --write-docs
	$(BIN)/python benchmarks/pruning_on_machines.py --document docs/results/machines.md

clean:
	rm -rf build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
