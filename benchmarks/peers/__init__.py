"""Heliostat beside its peers: the same work, durable everywhere, measured in turn."""
