# Everything a developer types. Four environments: .venv runs Heliostat with its examples, .venv-dev tests it,
# .venv-docs makes a site of its documentation, .venv-peers and .venv-psij have what it is measured beside.
# Each is made on first use and left alone until a lock, pyproject.toml or the interpreter changes.
.DEFAULT_GOAL := help
SHELL := /bin/sh
.PHONY: help demo test docs bench bench-peers torture lock format clean

# Choose an interpreter with: make test PYTHON=python3.13
PYTHON ?=
# Given to pytest (make test ARGS="tests/unit -k join") to the benchmarks or to the fault campaign.
ARGS ?=

environment = python=$$(PYTHON="$(PYTHON)" sh tools/find-python.sh) && "$$python" tools/environment.py
runtime = @$(environment) .venv requirements-demo.lock
development = @$(environment) .venv-dev requirements.lock

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

demo:  ## install Heliostat with its examples into .venv and run the demonstration
	$(runtime)
	@.venv/bin/heliostat demo

test:  ## check style, types and the direction of imports, then run every test (starts a private PostgreSQL, RabbitMQ and Slurm)
	$(development)
	@.venv-dev/bin/python -m tools.ensure_postgres
	@.venv-dev/bin/python -m tools.ensure_rabbitmq
	@.venv-dev/bin/python -m tools.ensure_slurm
	@.venv-dev/bin/python -m tools.ensure_sshd
	@.venv-dev/bin/python -m tools.ensure_faketime
	@.venv-dev/bin/python -m tools.check $(ARGS)

docs:  ## make a site of docs/, with a search, in build/docs; a link that leads nowhere is an error
	@$(environment) .venv-docs requirements-docs.lock
	@.venv-docs/bin/python -m tools.site $(ARGS)

bench:  ## measure: python -m benchmarks; 1,000 jobs on Slurm beside PSI/J (.venv-psij) are ARGS="--only jobs"
	$(development)
	@$(environment) .venv-psij requirements-psij.lock
	@.venv-dev/bin/python -m tools.ensure_postgres
	@.venv-dev/bin/python -m tools.ensure_slurm
	@.venv-dev/bin/python -m benchmarks $(ARGS)

bench-peers:  ## measure beside other engines, which are installed into .venv-peers: python -m benchmarks.peers (an hour)
	@$(environment) .venv-peers requirements-peers.lock
	@.venv-peers/bin/python -m tools.ensure_postgres
	@.venv-peers/bin/python -m tools.ensure_rabbitmq
	@.venv-peers/bin/python -m tools.ensure_redis
	@.venv-peers/bin/python -m benchmarks.peers $(ARGS)

torture:  ## break it: python -m torture, real workers and databases under real faults (minutes)
	$(development)
	@.venv-dev/bin/python -m tools.ensure_postgres
	@.venv-dev/bin/python -m tools.ensure_rabbitmq
	@.venv-dev/bin/python -m tools.ensure_slurm
	@.venv-dev/bin/python -m tools.ensure_faketime
	@.venv-dev/bin/python -m torture $(ARGS)

lock:  ## take new requirements of pyproject.toml into the locks (ARGS=--upgrade: the newest of everything)
	$(development)
	@.venv-dev/bin/python -m tools.lock $(ARGS)

format:  ## format the code and mend what ruff can mend
	$(development)
	@.venv-dev/bin/ruff check --fix-only --quiet .
	@.venv-dev/bin/ruff format .

clean:  ## remove the environments, caches and built packages
	@rm -rf .venv .venv-dev .venv-docs .venv-peers .venv-psij build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
