"""The Python client: `client.completions.create`, as the official package had it until 1.0.0."""
