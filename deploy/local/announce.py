"""`python -m deploy.local.announce`: prints when the service is ready, and how to try it."""

import http.client
import io
import json
import os
import sys
import time
import urllib.request
from typing import Any

from shared.settings import Settings
from shared.this_machine import fetch, local_url

POLL_SECONDS = 0.2


def main() -> None:
    """Wait until the API responds and a worker is ready, then print an example command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # The model's name may have characters outside the terminal's encoding.
        sys.stdout.reconfigure(errors="replace")
    settings = Settings.from_environ(os.environ)
    url = local_url(settings.host, settings.port)
    while not (workers := ready_workers(url)):
        time.sleep(POLL_SECONDS)
    key = "-H 'X-API-Key: <your key>' " if settings.api_keys else ""
    print(
        f"\nReady on {url} with the model {workers[0]['model']}.\n\n"
        f"Web page:  {url}/\n"
        f"API docs:  {url}/docs\n"
        f'Try it:    curl {curl_options(url)}{key}-X POST {url}/upload -F "image=@examples/traffic_light.png"\n'
        "Stop it:   Ctrl-C, or `make stop` in another terminal\n",
        flush=True,
    )


def ready_workers(url: str) -> list[dict[str, Any]]:
    """Return the ready workers, none while the API is unreachable."""
    try:
        return list(json.loads(fetch(f"{url}/health/ready", timeout_seconds=2))["workers"])
    except (OSError, ValueError, KeyError, http.client.HTTPException):
        return []


def curl_options(url: str) -> str:
    """Return the options that curl needs to bypass a proxy set in the environment, "" for none."""
    host = urllib.request.Request(url).host  # noqa: S310 - nothing is opened
    proxied = urllib.request.getproxies().keys() & {"http", "all"} and not urllib.request.proxy_bypass(host)
    return "--noproxy '*' " if proxied else ""


if __name__ == "__main__":
    main()
