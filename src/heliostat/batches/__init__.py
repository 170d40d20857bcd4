"""Batch systems, one per file."""
