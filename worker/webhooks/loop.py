"""Claims due deliveries and sends each in a thread, many at a time."""

import logging
import threading
import time

import redis

from shared.jobs.deliveries import Deliveries, Delivery
from shared.jobs.queue import Queue
from shared.jobs.redis_keys import DUE_KEY
from worker.webhooks.sender import Sender

log = logging.getLogger(__name__)

# How many deliveries one process sends at a time.
SLOTS = 128
# How often the loop looks for due deliveries without being woken: a pause may be over, or a notice may be lost.
POLL_SECONDS = 1.0
# How long a stopping process waits for its running attempts. Other senders repeat the rest when their leases end.
STOP_SECONDS = 3.0


class SendLoop:
    """Claims and sends deliveries until it is stopped."""

    def __init__(self, deliveries: Deliveries, sender: Sender) -> None:
        self._deliveries = deliveries
        self._sender = sender
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._free = SLOTS
        self._lock = threading.Lock()

    def wake(self) -> None:
        """Look for due deliveries now."""
        self._woken.set()

    def stop(self) -> None:
        """Claim no more deliveries; `run` returns soon."""
        self._stopping.set()
        self.wake()

    def run(self) -> None:
        """Send deliveries until `stop` is called, then wait up to STOP_SECONDS for running attempts."""
        while not self._stopping.is_set():
            self._woken.clear()
            claimed = self._claim()
            for delivery in claimed:
                # Daemon threads do not keep the process from ending.
                threading.Thread(target=self._send, args=(delivery,), name="delivery", daemon=True).start()
            if not claimed:
                self._woken.wait(POLL_SECONDS)
        deadline = time.monotonic() + STOP_SECONDS
        while self._free < SLOTS and time.monotonic() < deadline:
            self._woken.wait(0.1)

    def _claim(self) -> list[Delivery]:
        if not self._free:
            return []
        try:
            claimed = self._deliveries.claim(self._free)
        except (redis.RedisError, OSError) as error:
            log.warning("Redis does not answer: %s", error)
            self._stopping.wait(POLL_SECONDS)
            return []
        with self._lock:
            self._free -= len(claimed)
        return claimed

    def _send(self, delivery: Delivery) -> None:
        try:
            self._sender.send(delivery)
        except (redis.RedisError, OSError) as error:
            # Another attempt is made when the lease ends.
            log.warning("Redis does not answer: %s", error)
        except Exception:
            log.exception("The attempt to deliver %s failed", delivery.subject.id)
        finally:
            with self._lock:
                self._free += 1
            self.wake()


def wake_on_notice(client: redis.Redis, queue: Queue, loop: SendLoop) -> None:
    """Start a thread that wakes the loop when a delivery is written; otherwise it looks only every POLL_SECONDS."""

    def listen() -> None:
        while True:
            try:
                with client.pubsub() as subscription:  # type: ignore[no-untyped-call]
                    subscription.subscribe(queue.key(DUE_KEY))
                    while True:
                        if subscription.get_message(timeout=60):
                            loop.wake()
            except (redis.RedisError, OSError):
                time.sleep(POLL_SECONDS)

    threading.Thread(target=listen, name="due-deliveries", daemon=True).start()
