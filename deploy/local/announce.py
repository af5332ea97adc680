"""`python -m deploy.local.announce`: says when the service is ready, and how to try it."""

import json
import os
import time
import urllib.request
from typing import Any

from shared.settings import Settings

POLL_SECONDS = 0.2


def main() -> None:
    """Wait until the API answers and a worker is ready, then print the line to try."""
    settings = Settings.from_environ(os.environ)
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
    url = f"http://{host}:{settings.port}"
    while not (workers := ready_workers(url)):
        time.sleep(POLL_SECONDS)
    print(
        f"\nReady on {url} with the model {workers[0]['model']}. Try it:\n\n"
        f'  curl -X POST {url}/upload -F "image=@examples/traffic_light.png"\n\n'
        "Ctrl-C stops everything.\n",
        flush=True,
    )


def ready_workers(url: str) -> list[dict[str, Any]]:
    """Return the workers that are ready, none while the API does not answer."""
    try:
        with urllib.request.urlopen(f"{url}/health/ready", timeout=2) as answer:
            return list(json.load(answer)["workers"])
    except (OSError, ValueError):
        return []


if __name__ == "__main__":
    main()
