"""API keys: their entries, the ring that finds them, and the texts that set their limits. Pure."""
