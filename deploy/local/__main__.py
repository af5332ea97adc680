"""`python -m deploy.local [PARENT]`: runs Redis, workers and API until Ctrl-C, or until the process PARENT ends."""

import os
import sys

from deploy.local import address
from deploy.local.foreground import Foreground
from deploy.local.instance import Instance, InUse
from deploy.local.output import open_standard_files, say
from deploy.local.parent import Parent
from shared.settings import Settings, SettingsError
from worker.inference.engines import UnknownEngine, find_engine
from worker.prepare.errors import PrepareError
from worker.prepare.precision import FLOAT32, check_precision


def main(arguments: list[str]) -> int:
    """Run the service; return the exit code."""
    open_standard_files()
    try:
        settings = Settings.from_environ(os.environ)
        # Before the model is prepared, which may take minutes.
        find_engine(settings.engine)
        check_precision(os.environ.get("PRECISION") or FLOAT32, settings.engine)
    except (SettingsError, UnknownEngine, PrepareError) as error:
        say(f"make run: {error}")
        return 2
    instance = Instance(settings.port)
    try:
        lock = instance.claim()
    except InUse as error:
        say(f"make run: {in_use(instance, error)}")
        return 1
    except OSError as error:
        say(f"make run: {error.filename or instance.folder}, which holds the data, cannot be written: {error.strerror}")
        return 1
    if flaw := address.find_flaw(settings.host, settings.port):
        say(f"make run: {flaw}")
        return 1
    return Foreground(lock, Parent(int(arguments[0])) if arguments else None).run()


def in_use(instance: Instance, error: InUse) -> str:
    """Return a message about the process that uses the instance's folder, and what to do."""
    pid, port = (error.holder.pid, error.holder.port) if error.holder else ("unknown", instance.port)
    other = address.other_port(instance.port)
    what = f"port {port} is taken" if port == instance.port else f"the data in {instance.folder} is in use"
    return (
        f"{what} by another `make run` of this checkout (process {pid}). Stop it (PORT={port} make stop), "
        f"or choose another port: PORT={other} make run"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
