"""The processes of a worker: Celery, its main process, its children."""
