"""The training text of the built-in model: hand-written material combined by generators."""
