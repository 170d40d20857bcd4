"""The documentation as a site with a search: ``python -m tools.site``, or ``make docs``."""
