"""Fuzzing of the server, `make fuzz`, and load for long, `make soak`. The tests have short runs."""
