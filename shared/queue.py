"""The queue between API and workers: a Celery application and the one message it carries."""

from celery import Celery

from shared.job import FORMAT_VERSION
from shared.settings import Settings

QUEUE_NAME = "classify"
TASK_NAME = "classify"
# A job's record and lease decide what is repeated, not the broker: its own redelivery is put out of the way.
VISIBILITY_TIMEOUT_SECONDS = 24 * 3600


def create_celery(settings: Settings, answer_timeout_seconds: float = 5) -> Celery:
    """Return a Celery application with what API and workers must agree on; nothing is connected yet.

    A worker's timeout must be longer than the second for which it asks the broker to block.
    """
    app = Celery("topthree", broker=settings.redis_url.replace("unix://", "redis+socket://"), set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_default_queue=QUEUE_NAME,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
            "socket_timeout": answer_timeout_seconds,
            "socket_connect_timeout": 1,
            "socket_keepalive": True,
            "health_check_interval": 10,
            # Publishing fails at once instead of trying for ever; a worker's consumer has its own retries.
            "max_retries": 1,
            "interval_start": 0,
        },
    )
    return app


class JobQueue:
    """Publishes jobs; the message is the job's id and the format version of records, and nothing else."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def enqueue(self, job_id: str) -> None:
        """Publish the job once.

        Raises:
            kombu.exceptions.OperationalError: the broker cannot be reached.
        """
        self._app.send_task(TASK_NAME, args=[job_id, FORMAT_VERSION], task_id=job_id, queue=QUEUE_NAME, retry=False)
