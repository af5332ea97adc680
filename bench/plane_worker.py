"""`python -m bench.plane_worker`: the real worker with a stand-in for the network, which sleeps."""

import os
import sys
import time

from shared.log import configure_logging
from shared.settings import Settings
from worker.app import create_worker
from worker.inference.labels import Prediction
from worker.metrics import open_metrics
from worker.services import Services

# The variable that says how long a picture takes, in seconds.
SLEEP = "PLANE_SLEEP_SECONDS"
LABEL = "stand-in"


class StandInModel:
    """What a worker tells of the stand-in."""

    name = "stand-in"
    digest = "0" * 64
    labels = (LABEL,)


class StandIn:
    """Decodes nothing, computes nothing."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    @property
    def model(self) -> dict[str, str]:
        return {"name": StandInModel.name, "digest": StandInModel.digest}

    def classify(self, data: bytes, top: int) -> list[Prediction]:
        if self._seconds:
            time.sleep(self._seconds)
        return [Prediction(LABEL, 1.0)] * top


def main() -> int:
    """Run a worker until it is told to stop; return its exit code."""
    settings = Settings.from_environ(os.environ)
    configure_logging(settings.log_level, settings.log_format)
    seconds = float(os.environ.get(SLEEP, "0"))
    with open_metrics(settings) as metrics:
        services = Services.from_settings(settings, StandInModel(), metrics)
        worker = create_worker(services, lambda _progress: StandIn(seconds))
        worker.start()
        return int(worker.exitcode or 0)


if __name__ == "__main__":
    sys.exit(main())
