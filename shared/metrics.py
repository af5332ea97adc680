"""Metrics that the API and the workers both count."""

from prometheus_client import CollectorRegistry, Counter

from shared.jobs.models import JobState


def finished_counter(registry: CollectorRegistry) -> Counter:
    """Return the counter of jobs that this process has ended; over all processes each job is counted once."""
    counter = Counter("topthree_jobs_finished", "Jobs that this process has ended.", ["outcome"], registry=registry)
    # From the start, so that the first of its kind is seen as an increase.
    for state in JobState:
        if state.terminal:
            counter.labels(state)
    return counter
