"""Errors shown to users; `api/problems.py` maps them to HTTP statuses."""


class TopThreeError(Exception):
    """Base of the errors shown to users; `str(error)` is the message."""


class NoPicture(TopThreeError):
    """The request contains no picture."""


class PictureTooLarge(TopThreeError):
    """The picture has too many bytes or too many pixels."""


class UnsupportedPicture(TopThreeError):
    """The bytes are not a picture of an accepted format."""


class UndecodablePicture(TopThreeError):
    """The header is valid, but the pixels cannot be decoded."""


class PictureTooExpensive(TopThreeError):
    """Decoding the picture takes longer than allowed."""


class BadRequest(TopThreeError):
    """The request is malformed; the message says where."""


class TryLater(TopThreeError):
    """The client may retry after `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class QueueFull(TryLater):
    """The limit of open jobs, or of their bytes, is reached."""


class TooManyWebhooks(QueueFull):
    """The limit of webhooks that wait for their receivers is reached."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit} webhooks wait for receivers that do not answer; that is the limit. Try again later, or upload "
            "without `webhook`.",
            retry_after_seconds=60,
        )


class ServerUnfit(TryLater):
    """Redis cannot run jobs, or may drop accepted ones."""

    def __init__(self, message: str) -> None:
        # An operator has to change the server first.
        super().__init__(message, retry_after_seconds=30)


class TooManyWaiters(QueueFull):
    """The limit of waiting requests is reached."""


class NotReplicated(TopThreeError):
    """The request was accepted, but too few replicas of Redis have it yet; `job_id` is "" if it is about no one job."""

    def __init__(self, job_id: str = "") -> None:
        super().__init__(
            "The request was accepted, but too few replicas of Redis have it yet: if Redis fails now, it may be lost. "
            "To be sure, send the same request again; with its `Idempotency-Key` no picture is classified twice."
        )
        self.job_id = job_id


class KeyReused(TopThreeError):
    """The Idempotency-Key was used before with a different request."""


class NotAllowed(TopThreeError):
    """The request is not from an operator."""


class NotRetryable(TopThreeError):
    """The job has not failed, or it failed because of its picture."""


class JobEnded(TopThreeError):
    """The job has ended, so it cannot be canceled."""


class UnknownJob(TopThreeError):
    """No job has this id, or the job belongs to another API key."""


class GoneJob(TopThreeError):
    """The job existed; its result was deleted or has expired."""


class UnknownBatch(TopThreeError):
    """No batch has this id, or the batch belongs to another API key."""


class GoneBatch(TopThreeError):
    """The batch was canceled or deleted; its results are gone."""


class BatchClosed(TopThreeError):
    """The batch takes no more pictures."""


class QuotaExceeded(TopThreeError):
    """The caller's quota of uploads has no room for all pictures of a request."""


class ImageMissing(TopThreeError):
    """The picture of a job is not in the image store."""
