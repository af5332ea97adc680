"""What Flower must know of the broker that its URL does not say; read by its Celery, not by the service."""

import os

broker_url = os.environ["CELERY_BROKER_URL"]
# The only queue there is, which Flower shows the length of.
task_default_queue = "classify"
# One list, as the workers have it.
broker_transport_options = {"priority_steps": [0]}
