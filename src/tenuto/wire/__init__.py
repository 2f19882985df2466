"""Requests, responses, events and errors of the API. Pure: no I/O."""
