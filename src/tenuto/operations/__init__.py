"""Limits and observation of requests: admission, records."""
