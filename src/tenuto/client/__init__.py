"""The Python client: `client.completions.create`, as in the official package before 1.0.0."""
