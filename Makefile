# `make demo` opens the app, `make test` runs the tests; both set themselves up in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test space clean

demo: .venv/installed
	$(BIN)/python app.py

test: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

# what a Hugging Face Space and a container need, checked here
space: .venv/installed-dev
	$(BIN)/python -m pytest tests/test_space.py

clean:
	rm -rf .venv build *.egg-info
