"""Whoever has jobs run: a function ``carry(task)`` each, which answers when the next steps began, by job."""
