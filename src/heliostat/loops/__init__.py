"""Background duties, one verb each: a ``tick(now)`` that answers when it wants to be called again."""
