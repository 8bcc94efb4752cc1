# Every target makes what it needs first, may be repeated, and may be interrupted.
.DEFAULT_GOAL := help
.PHONY: help env clone repro exp remotes test test-slow test-team bench check format ui docs lock
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHON
unexport PYTHONPATH PYTHONHOME # another tree's sources must not stand in for this one's
PORT ?= 5000
ARGS ?=
PLUGINS ?= s3,ssh
EXTRA = uv=$$(./bootstrap.sh uv) && $$uv pip install -q --python .venv/bin/python -c requirements.lock

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

env: ## the pinned packages in .venv (PYTHON=… chooses the Python)
	@./bootstrap.sh

clone: # DVC keeps its record in git
	@git rev-parse --git-dir >/dev/null || { echo "relume: this folder is no git clone, and DVC needs one: git clone the project, or git init here" >&2; exit 1; }

repro: clone env ## whatever is stale of the pipeline, up to metrics/report/index.html (ARGS=… for relume repro)
	@relume repro $(ARGS)

exp: clone env ## the pipeline with presets/PRESET.yaml, as one `dvc exp run` (PRESET=paper_s0, ARGS=… for it)
	@python -m relume.presets $(PRESET) $(ARGS)

remotes: env ## DVC's plugins for remotes: PLUGINS=s3,ssh, or gs, azure, …
	@$(EXTRA) 'dvc[$(PLUGINS)]'

test: env ## the quick tests, units and stages on toys (ARGS=… for pytest)
	@python -m pytest -n auto --maxprocesses 4 --dist loadfile -m "not slow" $(ARGS)

test-slow: env ## the other tests: DVC pipeline, browser, kills, benchmarks (ARGS=… for pytest)
	@python -m pytest -n auto --maxprocesses 4 --dist loadfile -m slow $(ARGS)

test-team: env ## the tests of sharing and clusters, against real servers: moto (S3), sshd, SLURM (ARGS=… for pytest)
	@$(EXTRA) --group team && python -m pytest -rs tests/test_share.py tests/test_team.py tests/test_slurm.py $(ARGS)

check: env ## format, lint, types
	@ruff format --check .
	@ruff check .
	@mypy

format: env ## put the format right, and what the linter can mend
	@ruff format .
	@ruff check --fix .

bench: env ## speed of ours against plain code, minutes on a quiet machine: metrics/benchmarks/*.json
	@for part in speed energy prepare "pipeline --here"; do python -m benchmarks.$$part || exit 1; done

# The job workers serve what is not used here, with seven processes.
ui: export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
ui: export MLFLOW_DISABLE_TELEMETRY := true
ui: env ## the runs in MLflow's pages, on PORT (5000) or where MLFLOW_TRACKING_URI points
	@case "$${MLFLOW_TRACKING_URI:-}" in \
	http*) echo "the runs are on a server: open $$MLFLOW_TRACKING_URI" ;; \
	*) exec mlflow server --workers 1 --port $(PORT) --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///$(CURDIR)/mlflow.db}" ;; \
	esac

docs: env ## the documentation as a site in site/; a broken link stops it
	@$(EXTRA) --group docs && zensical build --strict

lock: ## requirements.lock anew from pyproject.toml (ARGS=--upgrade for newer versions)
	@uv=$$(./bootstrap.sh uv) && $$uv pip compile -q pyproject.toml --extra pipeline --group dev --universal --python-version 3.11 \
		--no-header --no-annotate --no-emit-index-url -o requirements.lock $(ARGS)
