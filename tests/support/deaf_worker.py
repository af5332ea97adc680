"""`python -m tests.support.deaf_worker`: the real worker, which stops consuming after its first job."""

import sys
from typing import Any

from celery import signals

from shared.jobs.queue import QUEUE_NAME
from worker.__main__ import main


@signals.task_received.connect(weak=False)
def go_deaf(sender: Any, **_: Any) -> None:
    sender.cancel_task_queue(QUEUE_NAME)


if __name__ == "__main__":
    sys.exit(main())
