"""The libraries that compute, behind one protocol."""
