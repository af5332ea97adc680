"""The queue between API and workers: a Celery application and the one message it carries."""

from celery import Celery

from shared.settings import Settings

QUEUE_NAME = "classify"
TASK_NAME = "classify"
# A job's record and lease decide what is repeated, not the broker: its own redelivery is put out of the way.
VISIBILITY_TIMEOUT_SECONDS = 24 * 3600


def create_celery(settings: Settings) -> Celery:
    """Return a Celery application with what API and workers must agree on; nothing is connected yet."""
    app = Celery("topthree", broker=settings.redis_url.replace("unix://", "redis+socket://"), set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_default_queue=QUEUE_NAME,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
            "socket_timeout": 5,
            "socket_connect_timeout": 1,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
    )
    return app


class JobQueue:
    """Publishes jobs; the message is the job's id and nothing else."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def enqueue(self, job_id: str) -> None:
        """Publish the job once.

        Raises:
            kombu.exceptions.OperationalError: the broker cannot be reached.
        """
        self._app.send_task(TASK_NAME, args=[job_id], task_id=job_id, queue=QUEUE_NAME, retry=False)
