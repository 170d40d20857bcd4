"""One module per peer, written as its own users would write it; each defines ``PEER``."""
