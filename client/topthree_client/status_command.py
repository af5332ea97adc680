"""`topthree status`: shows the status of the service, once or again and again."""

import argparse
import json
import time
from collections.abc import Mapping
from typing import Any, NoReturn

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from topthree_client.client import Client
from topthree_client.errors import ServiceUnavailable
from topthree_client.exit_codes import DONE, SOME_FAILED
from topthree_client.formats import printable
from topthree_client.messages import Messages
from topthree_client.status_report import status_report

WATCH_SECONDS = 2.0


def status(client: Client, options: argparse.Namespace, messages: Messages) -> int:
    """Print the status, and return whether a worker is ready as the exit code; with `--watch`, until Ctrl-C.

    Raises:
        ServiceUnavailable: the service is unavailable, when the command starts.
    """
    found = client.status_details()
    if options.watch:
        _watch(client, found, options, messages)
    _print(client, found, options)
    return DONE if found["workers"] else SOME_FAILED


def _print(client: Client, found: Mapping[str, Any], options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps(found), flush=True)  # noqa: T201 - the command's output
    else:
        _console().print(_report(client, found))


def _watch(client: Client, found: Mapping[str, Any], options: argparse.Namespace, messages: Messages) -> NoReturn:
    """Show the status every WATCH_SECONDS, on a terminal in place; a service that goes away is told and waited for."""
    if not options.json and _console().is_terminal:
        _watch_in_place(client, found)
    _print(client, found, options)
    while True:
        time.sleep(WATCH_SECONDS)
        try:
            _print(client, client.status_details(), options)
        except ServiceUnavailable as error:
            messages.error(str(error))


def _watch_in_place(client: Client, found: Mapping[str, Any]) -> NoReturn:
    with Live(_report(client, found), console=_console(), auto_refresh=False) as live:
        while True:
            time.sleep(WATCH_SECONDS)
            try:
                live.update(_report(client, client.status_details()), refresh=True)
            except ServiceUnavailable as error:
                live.update(Text(printable(str(error)), overflow="fold"), refresh=True)


def _report(client: Client, found: Mapping[str, Any]) -> RenderableType:
    try:
        return status_report(client.url, found)
    except (IndexError, KeyError, TypeError, ValueError):
        raise ServiceUnavailable(f"{client.url} has a status that this version cannot show. Use --json.") from None


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)
