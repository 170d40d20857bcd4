"""Executors: where functions run."""
