# `make demo` turns a bare server into the Somos server; `make test` proves every part of it. See CONTRIBUTING.md.
PYTHON ?= python3
ROLE ?= $(patsubst molecule/%/molecule.yml,%,$(wildcard molecule/*/molecule.yml))

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test lint unit molecule world torture audit bench docs changelog requirements demo-clean clean

VENV := .venv/.installed
LINK := .ansible/collections/ansible_collections/somos/infra
BIN := .venv/bin
HOST := $(BIN)/python -m tests.host

export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export MOLECULE_GLOB := molecule/*/molecule.yml
export PYTHON
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONDONTWRITEBYTECODE := 1

help:  ## Say what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 16

demo: $(VENV) $(LINK)  ## Turn a bare server (in a container) into the Somos server
	$(BIN)/python -m tests.host.demo

test: lint unit molecule  ## Everything CI runs

lint: $(VENV) $(LINK)  ## Static checks; needs no Docker
	yamllint --strict .
	ruff check .
	ruff format --check .
	mypy
	ansible-lint -c .config/ansible-lint.yml
	antsibull-changelog lint
	.config/make/validate-modules.sh $(LINK)

unit: $(VENV) $(LINK)  ## Modules, filters, role contracts and rendered templates; needs no Docker
	pytest -n 2 --dist loadfile -q

molecule: $(VENV) $(LINK) world  ## Roles on real test servers, one scenario each; ROLE=x runs one
	$(BIN)/python -m tests.host.molecule $(ROLE)

world: $(VENV)
	$(HOST) images

torture: $(VENV) $(LINK) world  ## Runs killed at random moments: long
	pytest tests/torture -q -s

audit: $(VENV) $(LINK) world  ## Converged servers, measured with independent instruments; AUDIT="--help" tells more
	$(BIN)/python -m tests.audit $(AUDIT)

bench: $(VENV) $(LINK)  ## Measured claims, as ratios
	set -e; for benchmark in tests/bench/bench_*.py; do $(BIN)/python $$benchmark; done

docs: $(VENV) $(LINK)  ## Fill the variable tables of the roles' READMEs from their argument specs
	$(BIN)/python docs/role_docs.py

changelog: $(VENV)  ## Turn the fragments into CHANGELOG.md for the version in galaxy.yml
	antsibull-changelog release

requirements:  ## Resolve requirements.in again
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-header --quiet requirements.in -o requirements.txt

demo-clean: $(VENV)  ## Remove the demo's servers and build/demo
	$(HOST) clean

clean:  ## Remove all that make made: servers, images, build/, .venv
	if [ -e $(VENV) ]; then $(HOST) clean --images; fi
	rm -rf build .venv .ansible .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV): requirements.txt .config/make/tools.sh
	.config/make/tools.sh
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements.txt
	touch $@

$(LINK):
	mkdir -p $(@D)
	ln -sfn ../../../.. $@
