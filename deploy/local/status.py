"""`python -m deploy.local.status`: shows the state of this checkout's `make run` on port PORT."""

import os
import sys

from deploy.local.instance import Instance
from deploy.local.output import say
from shared.settings import Settings, SettingsError
from shared.this_machine import local_url
from topthree_client import command_line


def main() -> int:
    """Run `topthree status` for the service; return its exit code, or 1 if the service does not run."""
    try:
        settings = Settings.from_environ(os.environ)
        if not Instance(settings.port).is_running():
            say(f"make status: no `make run` of this checkout is running on port {settings.port} (PORT= chooses one)")
            return 1
    except SettingsError as error:
        say(f"make status: {error}")
        return 2
    except OSError as error:
        say(f"make status: {error.filename}: {error.strerror}")
        return 1
    return command_line.main(["--url", local_url(settings.host, settings.port), "status"])


if __name__ == "__main__":
    sys.exit(main())
