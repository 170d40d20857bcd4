"""Ways to the machines where batch systems are, one per file."""
