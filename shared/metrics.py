"""Metrics that both the API and the workers count."""

from prometheus_client import CollectorRegistry, Counter

from shared.jobs.models import JobState


def finished_counter(registry: CollectorRegistry) -> Counter:
    """Return the counter of jobs ended by this process; each job is counted in exactly one process."""
    meaning = (
        "Jobs ended by this process. API: canceled jobs, and jobs with a cached result (`succeeded`). Worker: jobs "
        "that it ran, `expired` jobs that it found, and those `canceled` by Celery's `revoke`."
    )
    counter = Counter("topthree_jobs_finished", meaning, ["outcome"], registry=registry)
    # Create all series at the start, so that the first job of an outcome shows as an increase.
    for state in JobState:
        if state.terminal:
            counter.labels(state)
    return counter
