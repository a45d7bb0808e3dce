# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
DATA ?= cifar10
NOTE ?=
PHOTOS ?=
WEIGHTS ?=
OPTIONS ?=
BIN := $(VENV)/bin
# Processes that share the tests: one for each core. With WORKERS=0 the tests run one after the other.
WORKERS ?= auto
FAULTS_EACH ?= 9
FAULTS_TRAIN ?= 1
FUZZ_SECONDS ?= 600
# For `make slow` and `make manual`: what would start later, in seconds since 1970, is skipped.
UNTIL ?=
IN_TIME = $(if $(UNTIL),--until $(UNTIL))
# The versions that were tested, by their checksums; no source is built, which would fetch what no lock names.
LOCKED := -m pip install --quiet --require-hashes --only-binary :all: -r requirements
TOOLS := build/tools
DOCS := build/docs-tools
# Read by the hooks of mkdocs.yml; the warning says that Zensical comes after mkdocs-material, in 2027.
MKDOCS := PYTHONPATH=.:tests/.ns NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/python -m mkdocs
PYTEST := $(BIN)/python -m pytest
SIDE_BY_SIDE := -n $(WORKERS) --dist worksteal

.PHONY: help demo test slow manual docs docs-serve links clients peers rivals faults fuzz lint format clean default-model lock sbom dist audit

help:
	@echo "make demo    train, convert, classify and benchmark on handwritten digits"
	@echo "make test    run the tests"
	@echo "make slow    run the tests that take longest; slow and manual take UNTIL=SECONDS since 1970, and skip"
	@echo "             what would start later"
	@echo "make docs    build the manual into build/site"
	@echo "make docs-serve"
	@echo "             show the manual on http://127.0.0.1:8000, and what changes in it while it is written"
	@echo "make links   follow the links of the manual, to other hosts as well"
	@echo "make manual  run every command that the manual and the README show, and compare what they print"
	@echo "make clients run the files with MediaPipe, tflite-runtime 2.14 and LiteRT.js in Chromium"
	@echo "make peers [PHOTOS=FOLDER] [WEIGHTS=FILE.h5]"
	@echo "             the same model through what one would use instead: docs/understand/against-others.md"
	@echo "make rivals DATA=\"FOLDER ...\" [OPTIONS=...]"
	@echo "             our training beside the recipes of other tools: docs/understand/against-recipes.md"
	@echo "make default-model [DATA=FOLDER] [NOTE=TEXT]"
	@echo "             train the model that edge-classify takes when none is named"
	@echo "make faults [FAULTS_EACH=9] [FAULTS_TRAIN=1]"
	@echo "             kill the commands, fill their disks, cut the power: is anything lost?"
	@echo "make fuzz [FUZZ_SECONDS=600]"
	@echo "             try readers of strangers' files with inputs that learn what they reach: so long for each"
	@echo "make lint    check style and types"
	@echo "make lock [UPGRADE=1]"
	@echo "             resolve requirements/*.txt anew, after setup.cfg changed or to the newest versions"
	@echo "make audit   ask pip-audit for known vulnerabilities of what is locked"
	@echo "make dist    build wheel and sdist in dist/, twice, and compare the bytes"
	@echo "make sbom    write dist/edge-classify.cdx.json: what is installed, for whom, under which licence"
	@echo "make clean   remove what demo and the tests made, and $(VENV)"

$(VENV)/installed: setup.cfg setup.py pyproject.toml requirements/build.txt requirements/everything.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14) and "TensorFlow needs Python 3.10 to 3.13; name one: make PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python release/install.py requirements/build.txt requirements/everything.txt
	@$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --editable .
	@found=$$($(BIN)/python -m pip check) || { echo "$$found"; echo "The locks do not fit setup.cfg. Run: make lock"; false; }
	@touch $@

$(TOOLS)/installed: requirements/build.txt requirements/tools.txt
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python $(LOCKED)/build.txt
	$(TOOLS)/bin/python $(LOCKED)/tools.txt
	@touch $@

$(DOCS)/installed: requirements/build.txt requirements/docs.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python $(LOCKED)/build.txt
	$(DOCS)/bin/python $(LOCKED)/docs.txt
	@touch $@

# Versions stay where they still fit setup.cfg. uv is not locked here: without a lock there is none yet.
lock:
	$(PYTHON) -m venv build/uv
	build/uv/bin/python -m pip install --quiet uv
	build/uv/bin/python -m release.lock $(if $(UPGRADE),--upgrade)

sbom: $(VENV)/installed $(TOOLS)/installed
	$(TOOLS)/bin/python -m release.sbom $(BIN)/python dist/edge-classify.cdx.json

dist: $(VENV)/installed
	$(BIN)/python -m release.dist

audit: $(TOOLS)/installed
	$(TOOLS)/bin/python -m release.audit

demo: $(VENV)/installed
	@$(BIN)/python -m studies.demo $(DEMO)

default-model: $(VENV)/installed
	$(BIN)/edge-train $(DATA) --model mobilenet_v2 --image-size 96 --preset best --epochs 20,8 --augment shift,flip \
		--note "$(NOTE)" --output build/default-model/run --force
	$(BIN)/edge-convert build/default-model/run --variant int8 --output build/default-model/models --force
	cp build/default-model/models/mobilenet_v2_int8.tflite edge/default_model.tflite

# First what can run side by side; then what measures time, by itself.
test: $(VENV)/installed
	$(PYTEST) $(SIDE_BY_SIDE) -m "not clients and not slow and not manual and not alone"
	$(PYTEST) -m "alone and not clients and not slow and not manual"

# Trainings that are killed and resumed, all backbones, hyperparameter search.
slow: $(VENV)/installed
	$(PYTEST) $(SIDE_BY_SIDE) $(IN_TIME) -m slow

# Not --quiet: mkdocs counts no warnings then, and --strict would let them pass.
docs: $(DOCS)/installed
	$(MKDOCS) build --strict

docs-serve: $(DOCS)/installed
	$(MKDOCS) serve

# Links to other hosts, too, which make docs does not follow: it needs a network that reaches them. Not in CI.
links: docs $(TOOLS)/installed
	$(TOOLS)/bin/linkchecker --check-extern --no-status build/site/index.html

# The commands of a page run one after the other, in a folder of the page's own.
manual: $(VENV)/installed
	$(PYTEST) $(SIDE_BY_SIDE) $(IN_TIME) -m manual

# Each client is installed apart, which takes minutes the first time; one that can't be had is skipped. Each has a
# file of tests, which one process runs: what it answers is asked once.
clients: $(VENV)/installed docs
	$(PYTEST) -n $(WORKERS) --dist loadfile -m clients

# The same model through other runtimes, each installed apart under build/peers.
peers: $(VENV)/installed
	$(BIN)/python -m studies.peers.run $(if $(PHOTOS),--photos "$(PHOTOS)") $(if $(WEIGHTS),--weights "$(WEIGHTS)")

# What is trained already in build/rivals is not trained again.
rivals: $(VENV)/installed
	$(BIN)/python -m studies.rivals.run $(DATA) --output build/rivals $(OPTIONS)

# As root the power is cut and small disks are filled, too. 20 minutes on 2 cores; with EACH=1 and TRAIN=0 two minutes.
faults: $(VENV)/installed
	$(BIN)/python -m studies.faults --each $(FAULTS_EACH) --train $(FAULTS_TRAIN)

# Each reader of what strangers made in turn; some 26 of them, so more than four hours. What they reach is kept in build/fuzz.
fuzz: $(VENV)/installed
	$(BIN)/python -m fuzz.run --seconds $(FUZZ_SECONDS)

lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy tests/.ns tests studies release fuzz manual

format: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(DEMO) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
