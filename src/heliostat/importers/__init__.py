"""Readers of what other engines' users have written."""
