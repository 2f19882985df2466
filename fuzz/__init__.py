"""Fuzzing of the server: `make fuzz`. The tests have short runs of the same."""
