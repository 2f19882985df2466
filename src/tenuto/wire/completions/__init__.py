"""The Text Completions API in its two versions: bodies, events and errors."""
