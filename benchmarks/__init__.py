"""Measurements of this machine. `make bench` runs them all; each is one module."""
