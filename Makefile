# Two commands are enough: `make demo` and `make test`. Everything is installed into .venv at first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SIDE_BY_SIDE := --numprocesses auto --maxprocesses 4  # of pytest-xdist; each process takes up to 4 GB
ONE_THREAD := OMP_NUM_THREADS=1  # for each

.DEFAULT_GOAL := help
.PHONY: help setup demo test browser fuzz soak lab app bench gpu book dist notebooks clean

help:  ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

setup: $(READY)  ## make .venv with everything in it (once; some minutes, mostly PyTorch)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "nstlab needs Python 3.10 to 3.13; name one: make PYTHON=python3.12 setup"; exit 1; }
	$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[lab,test]'
	@touch $@

demo: $(READY)  ## paint the river castle as The Starry Night, into out/
	$(BIN)/python -m nstlab stylize chenonceau_river starry_night --size 512 \
		-o out/pastiche.png --losses out/losses.csv --plot out/losses.png
	@echo "Next: make lab (the course), or your own pictures: $(BIN)/nstlab stylize CONTENT STYLE -o OUT.png"

test: $(READY)  ## lint, types, unit tests, notebooks, browser
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(ONE_THREAD) $(BIN)/python -m pytest $(SIDE_BY_SIDE) --dist worksteal --ignore tests/book --ignore tests/dist
	$(ONE_THREAD) NSTLAB_PROFILE=ci $(BIN)/python -m pytest notebooks $(SIDE_BY_SIDE) --dist loadfile \
		--nbval-lax --nbval-cell-timeout=120 --nbval-sanitize-with tests/nbval_sanitize.cfg

browser: $(READY)  ## click through every page of the course in a real browser (`make test`: two of them, and the app)
	$(ONE_THREAD) $(BIN)/python -m pytest tests/notebook $(SIDE_BY_SIDE) -m browser

fuzz: $(READY)  ## try ten times as many damaged pictures and files of weights as `make test` does
	NSTLAB_KILLS=20 $(BIN)/python -m pytest tests/faults --hypothesis-profile=fuzz

lab: $(READY)  ## open the course in JupyterLab
	$(BIN)/nstlab lab notebooks

notebooks: $(READY)  ## run the course and write its outputs into the notebooks
	$(BIN)/python tools/make_notebooks.py

app: $(READY)  ## serve the app to this machine's browser: two pictures, one button, no code
	$(BIN)/python tools/serve_app.py $(if $(NAME),--name $(NAME))

book: $(READY) out/try/choices.js  ## build the web book into out/book, and look at every page of it in a real browser
	$(BIN)/python -m pip install --quiet --editable '.[book]'
	rm -rf out/book-source && mkdir -p out/book-source/docs out/book-source/notebooks
	cp -pr docs/book/. GALLERY.md SPEED.md CONTRIBUTING.md CHANGELOG.md CITATION.cff out/book-source
	cp -pr out/try out/book-source/static
	cp -pr notebooks/[0-9]*.ipynb notebooks/LICENSE.md notebooks/figures out/book-source/notebooks
	cp -pr docs/teaching docs/using.md docs/layout.md out/book-source/docs
	$(BIN)/python -m sphinx -q -W --keep-going -d out/book-doctrees out/book-source out/book
	$(BIN)/python -m pytest tests/book
	@echo "Open out/book/index.html"

out/try/choices.js: tools/make_try_page.py | $(READY)  # some minutes, once
	rm -rf out/try
	$(BIN)/python tools/make_try_page.py out/try

dist: $(READY)  ## build the wheel and the source distribution into dist/, and try the wheel in an empty folder
	$(BIN)/python -m pip install --quiet --editable '.[dist]'
	rm -rf dist
	$(BIN)/python -m build  # the wheel is built from the source distribution
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python -m pytest tests/dist

bench: $(READY)  ## measure speed and memory, as ratios (about an hour); ABLATE="winograd ...": parts of the engine alone
ifdef ABLATE
	$(BIN)/python tests/benchmarks/bench_engine.py $(ABLATE)
else
	$(BIN)/python tests/benchmarks/bench_laplacian.py
	$(BIN)/python tests/benchmarks/bench_live.py
	$(BIN)/python tests/benchmarks/bench_transfer.py
endif

gpu: $(READY)  ## measure and test this machine's CUDA device in five minutes; writes out/gpu.md
	$(BIN)/python tests/benchmarks/gpu.py

soak: $(READY)  ## 300 runs with random settings, none of which may fail (some minutes); writes out/soak.csv
	$(BIN)/python tests/benchmarks/soak.py

clean:  ## remove what the commands above made
	rm -rf $(VENV) out dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
