"""Repositories, one per file."""
