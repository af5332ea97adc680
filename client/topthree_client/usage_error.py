"""The error of a command that cannot be carried out as it was given."""

STANDARD_OUTPUT = "standard output"


class UsageError(Exception):
    """The arguments are invalid, or the output cannot be written; the message says why."""
