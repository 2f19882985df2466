"""What every request passes, one file each. Pure ASGI: nothing that hides a client's leaving."""
