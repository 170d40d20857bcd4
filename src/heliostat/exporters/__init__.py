"""What a graph looks like outside Heliostat: pictures and other formats, one per module."""
