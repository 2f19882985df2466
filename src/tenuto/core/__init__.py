"""The vocabulary of all rooms: pure data, without I/O and libraries."""
