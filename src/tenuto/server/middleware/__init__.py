"""ASGI middleware of every request. Pure ASGI, so that disconnects reach the application."""
