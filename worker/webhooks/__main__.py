"""`python -m worker.webhooks`: sends the outcomes of jobs to webhooks; `--given-up` and `--secret NAME` only print."""

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping

import redis

from shared.api_keys import NAME
from shared.jobs.deliveries import Deliveries
from shared.jobs.queue import Queue
from shared.log import configure_logging
from shared.redis_client import connect
from shared.settings import Settings, SettingsError, unknown_settings
from shared.tracing import Tracing, open_tracing
from shared.webhook_secrets import secret_of, spelled
from worker.webhooks import given_up
from worker.webhooks.guarded_http import GuardedHttp
from worker.webhooks.loop import SendLoop, wake_on_notice
from worker.webhooks.schedule import RetrySchedule
from worker.webhooks.sender import Sender

log = logging.getLogger("webhooks")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
REDIS_CONNECTIONS = 16
REDIS_CONNECTION_SECONDS = 10.0


def main(environ: Mapping[str, str], arguments: list[str]) -> int:
    """Send until a signal arrives, or print what the options ask for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m worker.webhooks")
    parser.add_argument("--given-up", action="store_true", help="list the deliveries that were given up")
    parser.add_argument("--secret", metavar="NAME", help="print the secret of the API key NAME ('': without keys)")
    options = parser.parse_args(arguments)
    if options.given_up:
        return given_up.main(environ)
    try:
        settings = Settings.from_environ(environ)
    except SettingsError as error:
        print(f"webhooks: {error}", file=sys.stderr)
        return 2
    if options.secret and not NAME.fullmatch(options.secret):
        print(
            "webhooks: give the name of an API key: a letter, then up to 63 letters, digits, `.`, `_` or `-`",
            file=sys.stderr,
        )
        return 2
    if options.secret is not None:
        return _print_secret(settings, options.secret)
    configure_logging(settings.log_level, settings.log_format)
    for variable in unknown_settings(environ):
        log.warning("%s is set, but there is no such setting", variable)
    return _serve(settings)


def _print_secret(settings: Settings, owner: str) -> int:
    for secret in settings.webhook_secret:
        print(spelled(secret_of(secret, owner)))
    if not settings.webhook_secret:
        print("webhooks: WEBHOOK_SECRET is not set", file=sys.stderr)
    return 0 if settings.webhook_secret else 1


def _serve(settings: Settings) -> int:
    try:
        tracing = open_tracing(settings, "topthree-webhooks")
    except SettingsError as error:
        print(f"webhooks: {error}", file=sys.stderr)
        return 2
    for number in STOP_SIGNALS:
        signal.signal(number, signal.default_int_handler)
    loop = _make_loop(settings, tracing) if settings.webhook_secret else None
    thread = threading.Thread(target=loop.run if loop else threading.Event().wait, name="deliveries", daemon=True)
    thread.start()
    # Without a secret the process waits: if it ended, a supervisor would restart it again and again.
    log.info("Sending webhooks" if loop else "WEBHOOK_SECRET is not set: webhooks are off")
    try:
        thread.join()
    except KeyboardInterrupt:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        if loop:
            loop.stop()
            thread.join()
        tracing.close()
        return 0
    # The loop ends by itself only on an error; its traceback has been printed.
    return 1


def _make_loop(settings: Settings, tracing: Tracing) -> SendLoop:
    queue = Queue(settings.redis_prefix)
    client: redis.Redis = connect(
        settings.redis_url,
        max_connections=REDIS_CONNECTIONS,
        patient=True,
        connection_wait_seconds=REDIS_CONNECTION_SECONDS,
    )
    deliveries = Deliveries(client, queue)
    http = GuardedHttp(settings.webhook_hosts)
    schedule = RetrySchedule(settings.webhook_retry_seconds)
    sender = Sender(deliveries, http, settings.webhook_secret, schedule, tracing=tracing)
    loop = SendLoop(deliveries, sender)
    wake_on_notice(connect(settings.redis_url, max_connections=1), queue, loop)
    return loop


if __name__ == "__main__":
    sys.exit(main(os.environ, sys.argv[1:]))
