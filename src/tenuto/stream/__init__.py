"""Stop matching, and the pipe from a job to its events."""
