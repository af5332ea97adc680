"""`python -m deploy.local.failed`: lists the failed jobs of this checkout's `make run` on port PORT."""

import os
import sys

from deploy.local.environ import with_settings
from deploy.local.instance import Instance
from deploy.local.output import say
from shared.jobs import failed as failed_jobs
from shared.settings import Settings, SettingsError


def main() -> int:
    """Print the jobs; return the exit code."""
    try:
        instance = Instance(Settings.from_environ(os.environ).port)
        if not instance.is_running():
            say(f"make failed: no `make run` of this checkout is running on port {instance.port} (PORT= chooses one)")
            return 1
        url = instance.redis_url_file.read_text("utf-8").strip()
    except SettingsError as error:
        say(f"make failed: {error}")
        return 2
    except OSError as error:
        say(f"make failed: {error.filename}: {error.strerror}")
        return 1
    return failed_jobs.main(with_settings(os.environ, REDIS_URL=url))


if __name__ == "__main__":
    sys.exit(main())
