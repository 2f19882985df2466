# The commands of this project. They need git, make and Python 3.11 to 3.14 with venv: not all
# pinned libraries have wheels for later ones.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.run
DEV := $(VENV)/.dev
RAY := $(VENV)/.ray

TRAIN := training/.venv/bin/python -m training
DOCUMENTS ?= 330000
# Processes that run the tests; with 0 it is one, and its output is not buffered.
WORKERS ?= 0
# Of training, of `make soak` and of `make chaos`.
TRAIN_MINUTES := $(or $(MINUTES),185)
SOAK_MINUTES := $(or $(MINUTES),10)
CHAOS_SECONDS := $(shell expr 60 '*' $(or $(MINUTES),10))
SIZE ?= 3m
TRAINED ?= training/run

.DEFAULT_GOAL := help
.PHONY: help demo serve test check format bench bench-engine bench-gateway chaos fuzz resources soak \
  model test-playground-firefox test-ray compat docs screenshots check-dist check-deploy clean

help: ## Print this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(RUN) ## Complete a prompt with the built-in model
	$(BIN)/tenuto complete "Hello, world!"

serve: $(RUN) ## Serve POST /v1/complete on http://127.0.0.1:8000
	$(BIN)/tenuto serve

test: $(DEV) ## Run the tests (WORKERS=2: files in two processes)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

check: $(DEV) ## Run ruff, mypy, pyright and the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	PYTHONPATH=src PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pyright --verifytypes tenuto --ignoreexternal
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test-playground-firefox: $(DEV) ## Run the first minute of the playground in Firefox (skipped without it)
	$(BIN)/python -m pytest -rs tests/playground/test_firefox.py

test-ray: $(RAY) ## Run nodes on a Ray cluster of three parts on this machine (three minutes; installs Ray)
	$(BIN)/python -m pytest -rs -s tests/cluster/ray_journey.py

format: $(DEV) ## Put the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(RUN) ## Measure this machine (a few minutes)
	$(BIN)/python -m benchmarks

bench-engine: $(DEV) ## Measure the embedded engine against llama.cpp (half an hour)
	$(BIN)/python -m benchmarks.engine $(ARGUMENTS)

bench-gateway: $(DEV) ## Measure what passing a request on costs, beside other gateways (fifteen minutes)
	$(BIN)/python -m benchmarks.gateway

chaos: $(DEV) ## Kill, stop and slow down nodes and fronts under load (MINUTES=10)
	$(BIN)/python -m benchmarks.fleet.chaos --seconds $(CHAOS_SECONDS) $(ARGUMENTS)

fuzz: $(DEV) ## Send 100,000 requests and 10,000 malformed ones; damage answers, settings and models
	$(BIN)/python -m fuzz --requests $(or $(COUNT),100000) --raw 10000

resources: $(DEV) ## Measure the largest bodies of all shapes, alone and 64 at once (half an hour)
	$(BIN)/python -m tests.server.resources

soak: $(DEV) ## Load a server on each runtime for MINUTES (10): nothing may be lost or kept
	$(BIN)/python -m fuzz.soak --minutes $(SOAK_MINUTES)

model: training/.venv/.done ## Train the built-in model again: DOCUMENTS, MINUTES and SIZE set how far
	mkdir -p $(TRAINED)
	$(TRAIN).corpus $(TRAINED)/corpus.jsonl --documents $(DOCUMENTS)
	$(TRAIN).tokenizer $(TRAINED)/corpus.jsonl $(TRAINED)
	$(TRAIN).train $(TRAINED) --size $(SIZE) --minutes $(TRAIN_MINUTES)
	$(TRAIN).export $(TRAINED) $(TRAINED)/tenuto-mini.gguf --type q8_0
	$(TRAIN).evaluate $(TRAINED)/tenuto-mini.gguf $(TRAINED)/REPORT.md --run $(TRAINED)

compat: $(DEV) ## Run old clients against the server (installs them; up to ten minutes)
	$(BIN)/python -m pytest compat

screenshots: $(DEV) ## Take the pictures of the playground (needs Chromium)
	$(BIN)/python -m docsite.screenshots

docs: docsite/.venv/.done ## Build the documentation site into site/
	NO_MKDOCS_2_WARNING=1 docsite/.venv/bin/python -m mkdocs build --strict

check-dist: $(RUN) release/.venv/.done ## Build wheel and source distribution; run each extra from the wheel
	$(BIN)/python -m release build
	release/.venv/bin/python -m twine check --strict dist/*
	$(BIN)/python -m release check

check-deploy: $(DEV) ## Check the files of deploy/, and build the image (as root, with packages of Debian)
	deploy/systemd/check.sh $(BIN)/tenuto
	deploy/nginx/check.sh
	deploy/check-compose.sh
	$(BIN)/python -m pytest -rs tests/deploy tests/operations/metrics
	deploy/check-image.sh $(BUILD_OPTIONS)

clean: ## Remove the virtual environment and all caches
	rm -rf $(VENV) docsite/.venv release/.venv site .compat .hypothesis .mypy_cache .pytest_cache .ruff_cache dist build

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' || \
	  { echo "Tenuto needs Python 3.11 to 3.14; name one: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Pinned versions with hashes; the package itself is built with the pinned hatchling among them.
$(RUN): $(BIN)/python pyproject.toml constraints/run.txt
	@echo "Setting up $(VENV): about 500 MB, once"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): $(RUN) constraints/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints/dev.txt
	@touch $@

$(RAY): $(DEV) constraints/ray.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints/ray.txt
	@touch $@

# The trainer's libraries are large, so they have an environment of their own.
training/.venv/.done: training/requirements.txt
	$(PYTHON) -m venv training/.venv
	training/.venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

docsite/.venv/.done: constraints/docs.txt
	$(PYTHON) -m venv docsite/.venv
	docsite/.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

release/.venv/.done: constraints/release.txt
	$(PYTHON) -m venv release/.venv
	release/.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@
