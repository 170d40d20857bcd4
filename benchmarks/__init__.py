"""What `make bench` measures: the engine beside the bare loop, on both databases."""
