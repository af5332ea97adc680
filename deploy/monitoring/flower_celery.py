"""What Flower must know of the broker; read by its Celery, not by the service."""

import os

# In Flower's container nothing else of the service is there.
from shared.redis_url import parse_redis_url

_broker = parse_redis_url(os.environ["REDIS_URL"]).broker_settings()
broker_url = _broker["broker_url"]
broker_use_ssl = _broker["broker_use_ssl"]
# The only queue, whose length Flower shows.
task_default_queue = "classify"
# Remote control and events of these workers, not of any other program on this server.
control_exchange, event_exchange = "topthree", "topthree.events"
# As the workers have them (worker/runtime/celery_app.py): one list, and the service's own keys and channels.
broker_transport_options = {"priority_steps": [0], "global_keyprefix": os.environ.get("REDIS_PREFIX", "")}
