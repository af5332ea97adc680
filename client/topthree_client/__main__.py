"""`topthree` and `python -m topthree_client`: starts the command line, so that Ctrl-C at any moment ends it quietly."""

# The module `signal` without its enums, whose import takes so long that Ctrl-C may come.
import _signal as signal  # type: ignore[import-not-found]
import sys

from topthree_client.exit_codes import INTERRUPTED


def main() -> int:
    """Run the command line and return its exit code."""
    # While imports run and at Python's exit, nothing could catch a KeyboardInterrupt: let the signal end the process.
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    if handler != signal.default_int_handler:
        # Signals that the parent process ignores stay ignored.
        signal.signal(signal.SIGINT, handler)
    from topthree_client import command_line

    try:
        signal.signal(signal.SIGINT, handler)
        return command_line.main()
    except KeyboardInterrupt:
        # The second Ctrl-C, while the command line was reporting the first.
        return INTERRUPTED
    finally:
        if handler == signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
