"""Implementations of ``broker.Broker``, one per file."""
