"""Idempotency keys: repeated requests get the first response."""
