"""The exit codes of the command line."""

DONE, SOME_FAILED, USAGE, UNAVAILABLE, INTERRUPTED = 0, 1, 2, 3, 130
