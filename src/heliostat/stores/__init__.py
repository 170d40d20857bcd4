"""Stores: one ledger that knows the rules, over the rows of memory, SQLite or PostgreSQL."""
