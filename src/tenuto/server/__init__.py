"""The door: the ASGI application."""
