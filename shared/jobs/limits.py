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
    # Pictures of failed jobs that are kept for a retry: for how long (0: none are kept), and how many bytes.
    failed_image_ttl_seconds: int = 0
    max_failed_image_bytes: int = 0
    # How long the outcomes of a batch are kept after its end.
    batch_result_ttl_seconds: int = 7 * 86_400

    @property
    def gone_ttl_seconds(self) -> int:
        """How long after its end a job's id is known."""
        return self.result_ttl_seconds + self.tombstone_ttl_seconds


def limits_of(settings: Settings) -> JobLimits:
    """Return the limits from `settings`."""
    return JobLimits(
        max_open_jobs=settings.max_open_jobs,
        max_stored_bytes=settings.max_stored_bytes,
        attempts=settings.job_attempts,
        result_ttl_seconds=settings.result_ttl_seconds,
        tombstone_ttl_seconds=settings.tombstone_ttl_seconds,
        failed_image_ttl_seconds=settings.failed_image_ttl_seconds,
        max_failed_image_bytes=settings.max_failed_image_bytes,
        batch_result_ttl_seconds=settings.batch_result_ttl_seconds,
    )
