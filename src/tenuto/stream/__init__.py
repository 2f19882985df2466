"""When to stop: stop matching, and the pipe from a job to its events."""
