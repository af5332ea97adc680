"""`python -m api.health`: checks that the API on this host, or in this container, responds."""

import http.client
import os
import sys

from shared.settings import Settings, SettingsError
from shared.this_machine import fetch, local_url

ANSWER_SECONDS = 4


def flaw() -> str | None:
    """Return why the check fails, None if the API responds."""
    try:
        settings = Settings.from_environ(os.environ)
        fetch(f"{local_url(settings.host, settings.port)}/health/live", ANSWER_SECONDS)
    except (SettingsError, OSError, http.client.HTTPException) as error:
        return f"the API does not answer: {error}"
    return None


if __name__ == "__main__":
    sys.exit(flaw())  # a message is printed and makes the exit code 1
