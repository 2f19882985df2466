"""Accounts of callers: their keys, their limits, and what they are charged."""
