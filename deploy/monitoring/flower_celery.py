"""Celery configuration for Flower; the service does not use it."""

import os

# Flower's container has no other module of the service.
from shared.redis_url import parse_redis_url

_broker = parse_redis_url(os.environ["REDIS_URL"]).broker_settings()
broker_url = _broker["broker_url"]
broker_use_ssl = _broker["broker_use_ssl"]
# The only queue; Flower shows its length.
task_default_queue = "classify"
# Remote control and events of these workers only, not of other programs on the same Redis server.
control_exchange, event_exchange = "topthree", "topthree.events"
# The same as in worker/runtime/celery_app.py: one list per queue, and the service's key and channel prefix.
broker_transport_options = {
    **_broker["broker_transport_options"],
    "priority_steps": [0],
    "global_keyprefix": os.environ.get("REDIS_PREFIX", ""),
}
