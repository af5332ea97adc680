"""The queue of a simulated service, and its limits of time and number."""

from shared.jobs.queue import Queue

QUEUE = Queue("s:")
# So many pictures of failed jobs are kept at most.
KEPT_PICTURES = 5
TIME_LIMIT_SECONDS = 11.0
LEASE_SECONDS = 12.0
SLOWEST_PICTURE_SECONDS = 9.0
CHILD_START_SECONDS = 1.5
