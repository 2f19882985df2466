"""Tenuto keeps the Text Completions API alive: POST /v1/complete, with a model in the box."""

__all__ = ["__version__"]

__version__ = "0.1.0"
