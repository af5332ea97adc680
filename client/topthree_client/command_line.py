"""The command `topthree`: runs a command and turns its errors into sentences and exit codes."""

import argparse
import os
import sys
from collections.abc import Sequence

from topthree_client.arguments import make_parser, parse
from topthree_client.batch_commands import batch
from topthree_client.classify_command import classify
from topthree_client.client import Client
from topthree_client.completion import completion_script
from topthree_client.errors import KeyRefused, ServiceUnavailable
from topthree_client.exit_codes import DONE, INTERRUPTED, SOME_FAILED, UNAVAILABLE, USAGE
from topthree_client.job_commands import cancel, get
from topthree_client.messages import Messages
from topthree_client.status_command import status
from topthree_client.usage_error import UsageError

KEY_HINT = "Put a key into $TOPTHREE_API_KEY, or into a file for --api-key-file."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = parse(arguments)
    messages = Messages(options.verbosity)
    try:
        return _run(options, messages)
    except UsageError as error:
        messages.error(str(error))
        return USAGE
    except ServiceUnavailable as error:
        messages.error(f"{error} {KEY_HINT}" if isinstance(error, KeyRefused) else str(error))
        return UNAVAILABLE
    except OSError as error:
        # At exit Python flushes stdout once more, and would report the same error again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            # The reader (such as `head`) has closed the pipe.
            return SOME_FAILED
        messages.error(f"cannot write: {error.strerror}")
        return USAGE
    except KeyboardInterrupt:
        messages.error("stopped")
        return INTERRUPTED


def _run(options: argparse.Namespace, messages: Messages) -> int:
    if options.command == "completion":
        print(completion_script(make_parser(), options.shell), end="", flush=True)  # noqa: T201 - its output
        return DONE
    commands = {"classify": classify, "get": get, "cancel": cancel, "batch": batch, "status": status}
    with _client(options) as client, messages.waits_told():
        return commands[options.command](client, options, messages)


def _client(options: argparse.Namespace) -> Client:
    try:
        key = options.api_key_file.read_text("utf-8").strip() if options.api_key_file else None
        return Client(options.url or None, api_key=key, timeout_seconds=options.timeout)
    except OSError as error:
        raise UsageError(f"{options.api_key_file}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(str(error)) from None
