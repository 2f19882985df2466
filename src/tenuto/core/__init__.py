"""The vocabulary that all rooms share: pure data, without I/O and without a library."""
