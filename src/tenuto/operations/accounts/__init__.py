"""The accounts of callers: keys, limits and charges."""
