"""The command line: ``heliostat NOUN VERB``, one module per noun.

What people read and data go to standard output, talk goes to standard error; every command takes
``--json`` and then writes one document, whose shapes are in ``shapes``. Exit codes: 0 done, 2 the command was
written wrongly, 3 a workflow is defined wrongly, 4 the request was refused, 5 the run did not succeed or a simulation
found what goes wrong, 6 something outside needs an operator, 7 a worker has too many threads that do not end, 130
interrupted.
"""

from heliostat.cli.application import app, main

__all__ = ["app", "main"]
