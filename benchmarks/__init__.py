"""Measurements of this machine. `make bench` runs them all; each is a module of its own."""
