"""livemove: a live performance instrument played with the whole body."""

__version__ = "0.1.0"
