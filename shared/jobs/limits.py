"""Limits for jobs."""

from dataclasses import dataclass

from shared.settings import Settings


@dataclass(frozen=True)
class JobLimits:
    """Limits for jobs: counts, bytes and seconds."""

    max_open_jobs: int
    max_stored_bytes: int
    attempts: int
    result_ttl_seconds: int
    tombstone_ttl_seconds: int


def limits_of(settings: Settings) -> JobLimits:
    """Return the limits from `settings`."""
    return JobLimits(
        max_open_jobs=settings.max_open_jobs,
        max_stored_bytes=settings.max_stored_bytes,
        attempts=settings.job_attempts,
        result_ttl_seconds=settings.result_ttl_seconds,
        tombstone_ttl_seconds=settings.tombstone_ttl_seconds,
    )
