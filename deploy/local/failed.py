"""`python -m deploy.local.failed`: lists or retries failed jobs of this checkout's `make run` on port PORT.

With `--webhooks` it lists the webhooks that were given up.
"""

import json
import os
import sys

from deploy.local.environ import with_settings
from deploy.local.instance import Instance
from deploy.local.output import say
from shared.jobs import failed as failed_jobs
from shared.settings import Settings, SettingsError
from worker.webhooks import given_up

WEBHOOKS = "--webhooks"
COMMANDS = {"retry": "make retry", "purge": "make purge-failed", WEBHOOKS: "make undelivered"}


def main(arguments: list[str]) -> int:
    """Run the command of `shared.jobs.failed` in `arguments`, by default the list; return the exit code."""
    first = arguments[0] if arguments else ""
    command = COMMANDS.get(first, "make failed")
    try:
        instance = Instance(Settings.from_environ(os.environ).port)
        if not instance.is_running():
            say(f"{command}: no `make run` of this checkout is running on port {instance.port} (PORT= chooses one)")
            return 1
        url = instance.redis_url_file.read_text("utf-8").strip()
        settings = json.loads(instance.settings_file.read_text("utf-8"))
    except SettingsError as error:
        say(f"{command}: {error}")
        return 2
    except OSError as error:
        say(f"{command}: {error.filename}: {error.strerror}")
        return 1
    environ = with_settings(os.environ, REDIS_URL=url, **settings)
    return given_up.main(environ) if first == WEBHOOKS else failed_jobs.main(environ, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
