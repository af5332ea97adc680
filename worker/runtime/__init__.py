"""The processes of a worker: Celery, the main process, the children."""
