"""Check the wheel and the source distribution: `make check-dist`."""
