"""The error of a failed check."""


class CheckError(Exception):
    """A distribution does not do what it must. The message has the output of the command."""
