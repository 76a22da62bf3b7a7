"""One spec.yaml in, a whole observability stack out, proved to work."""

__version__ = "0.1.0"
