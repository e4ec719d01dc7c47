# `make` alone is safe: it prints this help.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INPUT ?= conf/sample
OUTPUT ?= out
ARGS ?=
# The sample carries its own labels; --keep does no harm where a file lacks the columns.
KEEP ?= quality,topic,language
SHARE ?= 1
DATA ?= $(or $(INSTRUCTMINING_DATA),../shared/data)
SPARK4_0 := .venv-spark-4.0
LOWEST := .venv-lowest
LOWEST_LIBRARIES := .venv-lowest-libraries

.DEFAULT_GOAL := help
.PHONY: audit base-fresh bench-full bench-gpu help setup score fit evaluate proof test test-slow test-cases test-cluster test-gpu test-compat test-lowest test-lowest-libraries campaign soak lint typecheck check bench models models-check notebooks dist env-archive clean

help: ## print this help
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(VENV)/.done ## make .venv and install everything into it

$(VENV)/.done: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else 0'
	@java -version >/dev/null 2>&1 || { echo "Java 17 is needed: install a JRE or set JAVA_HOME"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip install -q --python $(BIN)/python --compile-bytecode -c constraints.txt -e '.[local,models,tracking,fit,report,hub,dev]'
	$(BIN)/python -c 'from instructmining.spark.session import get_session; get_session()[0].stop()'
	@# Local commands start faster with it; none needs it.
	$(BIN)/python -m instructmining.spark.make_class_archive || true
	@touch $@

score: setup ## score INPUT (default: the sample) into OUTPUT; more options in ARGS
	$(BIN)/instructmining rules publish
	$(BIN)/instructmining score --input "$(INPUT)" --store "$(OUTPUT)" --keep $(KEEP) $(ARGS)

fit: setup ## learn a rule on a small scale from a share of the free pools of DATA (37 finetunes)
	$(BIN)/python -m bench.free_pools --data "$(DATA)" --to "$(OUTPUT)/free_pools" --rows 150
	$(BIN)/instructmining score --input "$(OUTPUT)/free_pools" --store "$(OUTPUT)" --pool free
	$(BIN)/instructmining fit --store "$(OUTPUT)" --pool free --eval "self_instruct=$(DATA)/eval/self_instruct_user_oriented_252.jsonl" --subsets 30 --size 60 --epochs 1 --to "$(OUTPUT)/fit" $(ARGS)

evaluate: setup ## score Dolly of DATA once, then prove the selection on a small scale (3 seeds)
	$(BIN)/instructmining score --input "$(DATA)/instruct/databricks-dolly-15k.jsonl" --store "$(OUTPUT)" --pool dolly
	$(BIN)/instructmining evaluate --store "$(OUTPUT)" --pool dolly --eval "self_instruct=$(DATA)/eval/self_instruct_user_oriented_252.jsonl" --top 120 --seeds 3 --epochs 2 --judged-prompts 50 $(ARGS)

proof: setup ## a dirty pool of DATA: how clean each selector's choice is, and what models trained on it are worth
	$(BIN)/python -m bench.proof --data "$(DATA)" $(ARGS)

test: setup ## the test suite; begun within MINUTES, if given
	$(BIN)/python -m pytest -q $(if $(MINUTES),--begin-within=$(MINUTES))

test-slow: setup ## clusters, packaging, kill and resume; begun within MINUTES, if given
	$(BIN)/python -m pytest -q -m slow $(if $(MINUTES),--begin-within=$(MINUTES))

test-cluster: setup ## programs beside each other, environments made again: many minutes
	$(BIN)/python -m pytest -q -m cluster

test-cases: setup ## a folder of inputs as people bring them, and what messages advise: many minutes
	$(BIN)/python -m pytest -q -m cases

test-gpu: setup ## what needs a CUDA device
	$(BIN)/python -m pytest -q -m gpu

test-compat: setup ## the Spark tests on the oldest pair we support
	test -x $(SPARK4_0)/bin/python || $(BIN)/uv venv -q --python $(BIN)/python $(SPARK4_0)
	$(BIN)/uv pip install -q --python $(SPARK4_0)/bin/python --no-deps 'pyspark==4.0.*' delta-spark==4.0.1 py4j==0.10.9.9
	@# Everything else comes from $(VENV): a path file after the pair's own packages.
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$(echo $(SPARK4_0)/lib/python3.*/site-packages)/libraries.pth
	PYTHONPATH=$(CURDIR) $(SPARK4_0)/bin/python -m pytest -q tests/spark

test-lowest: setup ## the unit and reference tests on the lowest versions we admit (needs PyPI)
	test -x $(LOWEST)/bin/python || $(BIN)/uv venv -q --seed --python $(BIN)/python $(LOWEST)
	$(BIN)/uv pip install -q --python $(LOWEST)/bin/python --resolution lowest-direct -c constraints-lowest.txt -e '.[local,models,tracking,fit,report,hub,dev]'
	@# Other versions warn of other things; the suite on the tested versions looks at warnings.
	$(LOWEST)/bin/python -m pytest -q -W ignore::DeprecationWarning -W ignore::FutureWarning tests/unit tests/reference

test-lowest-libraries: setup ## a part of these on the lowest versions of all but torch and Spark, which are gigabytes
	test -x $(LOWEST_LIBRARIES)/bin/python || $(BIN)/uv venv -q --python $(BIN)/python $(LOWEST_LIBRARIES)
	$(BIN)/uv pip compile -q --python $(BIN)/python --resolution lowest-direct -c constraints-lowest.txt pyproject.toml $(addprefix --extra ,local models tracking fit report hub dev) --no-header --no-annotate -o $(LOWEST_LIBRARIES)/all.txt
	grep -Ev '^(torch|triton|nvidia-[a-z0-9-]+|pyspark|delta-spark|py4j)==' $(LOWEST_LIBRARIES)/all.txt >$(LOWEST_LIBRARIES)/versions.txt
	$(BIN)/uv pip install -q --python $(LOWEST_LIBRARIES)/bin/python --no-deps -r $(LOWEST_LIBRARIES)/versions.txt
	@# Torch and Spark come from $(VENV): a path file is read after the packages of this environment.
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$(echo $(LOWEST_LIBRARIES)/lib/python3.*/site-packages)/libraries.pth
	PYTHONPATH=$(CURDIR) $(LOWEST_LIBRARIES)/bin/python -m pytest -q -W ignore::DeprecationWarning -W ignore::FutureWarning \
	  $(addprefix tests/unit/,models tracking hub rules report evaluating running fitting/test_regression.py)

campaign: setup ## ten minutes and more of property tests on what reads files
	$(BIN)/python -m pytest -q --hypothesis-profile=campaign --hypothesis-show-statistics \
	  tests/unit/reading/test_splitting.py tests/unit/reading/test_damage_property.py tests/unit/layouts/test_formats_property.py \
	  tests/unit/reading/test_arrow_rows.py tests/unit/reading/test_csv_rows.py

soak: setup ## the reliability suite: kills, a full disk, lost and damaged files, two writers; many minutes
	$(BIN)/python -m pytest -q -s -m '' tests/soak tests/spark/store/test_two_runs.py \
	  "tests/spark/neighbors/test_neighbors.py::test_an_index_that_is_lost_or_damaged_gives_no_distance_and_is_written_anew"

lint: setup ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@if test -x $(BIN)/hadolint; then $(BIN)/hadolint Dockerfile; else echo "no hadolint: the Dockerfile is not checked"; fi

typecheck: setup ## types
	$(BIN)/mypy

check: lint typecheck test ## everything a commit must pass

bench: setup ## our kernels beside what is used today, and the gates; SUITES=overhead,resume for some
	$(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[bench]'
	$(BIN)/python -m bench.run $(if $(SUITES),--suites $(SUITES)) $(ARGS)

bench-full: setup ## the same with the long suites: 50,000 rows end to end and as neighbours, 200,000 by cells
	$(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[bench]'
	$(BIN)/python -m bench.run --suites all $(ARGS)
	$(BIN)/python -m bench.speed.cells --rows 200000

bench-gpu: setup ## scoring, finetunes and neighbours on a CUDA device, in suites (ARGS="--suites reward-qwen"); no Spark
	$(BIN)/python -m bench.gpu $(ARGS)

notebooks: setup ## run the notebooks from the first to the last; they stay without outputs
	rm -rf notebooks/out notebooks/mlflow.db notebooks/mlartifacts
	$(BIN)/jupyter execute --kernel_name=python3 $(wildcard notebooks/*.ipynb)

dist: setup ## the wheel, and the same bytes as .zip for --py-files
	rm -rf build dist/*.whl dist/*.zip
	$(BIN)/uv build -q --python $(BIN)/python --wheel --out-dir dist
	cp dist/instructmining-*.whl dist/instructmining.zip
	@ls -l dist

models: setup ## retrain the embedded models from DATA (about 100 minutes on 2 cores)
	$(BIN)/python -m training.lm --data "$(DATA)"
	$(BIN)/python -m training.quality --data "$(DATA)"
	$(BIN)/python -m training.check --data "$(DATA)" --write
	$(BIN)/python -m training.cards

base-fresh: setup ## train a base model that has not seen Dolly into OUTPUT/base_fresh (about 40 minutes on 2 cores)
	$(BIN)/python -m training.lm --data "$(DATA)" --without dolly --sizes lm --out "$(OUTPUT)/base_fresh"

models-check: setup ## recompute the cards' figures from SHARE of the held-out data; fails where they do not hold
	$(BIN)/python -m training.check --data "$(DATA)" --share $(SHARE)

audit: setup ## do the installed packages agree, their licences, their known vulnerabilities (needs PyPI)
	$(BIN)/uv pip check --python $(BIN)/python
	$(BIN)/uv tool run -q pip-licenses --python $(BIN)/python --from=mixed --summary --order=count
	$(BIN)/uv tool run -q pip-audit --strict --path $$(echo $(VENV)/lib/python3.*/site-packages)

env-archive: dist ## the environment of executors, for --archives: gigabytes, with torch
	$(BIN)/uv venv -q --clear --python $(BIN)/python build/env
	$(BIN)/uv pip install -q --python build/env/bin/python -c constraints.txt "$$(ls dist/instructmining-*.whl)[models,tracking,fit]" pandas numpy pyarrow
	$(BIN)/venv-pack -q --force --prefix build/env --output dist/instructmining-env.tar.gz
	@ls -l dist

clean: ## remove what make made, except .venv
	rm -rf out notebooks/out notebooks/mlflow.db notebooks/mlartifacts dist build *.egg-info mlflow.db mlartifacts spark-warehouse metastore_db derby.log
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
