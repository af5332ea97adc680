"""Errors shown to users; `api/problems.py` maps them to HTTP statuses."""


class TopThreeError(Exception):
    """Base of the errors shown to users; `str(error)` is the message."""


class NoPicture(TopThreeError):
    """The request carries no picture."""


class PictureTooLarge(TopThreeError):
    """The picture has too many bytes or too many pixels."""


class UnsupportedPicture(TopThreeError):
    """The bytes are not a picture of an accepted format."""


class UndecodablePicture(TopThreeError):
    """The header was fine but the pixels cannot be decoded."""


class PictureTooExpensive(TopThreeError):
    """Decoding the picture takes longer than allowed."""


class BadRequest(TopThreeError):
    """The request is malformed; the message says where."""


class TryLater(TopThreeError):
    """The request may be sent again after so many seconds."""

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class QueueFull(TryLater):
    """As many jobs are open as are admitted."""


class ServerUnfit(TryLater):
    """Redis cannot run jobs, or may drop accepted ones."""

    def __init__(self, message: str) -> None:
        # Somebody has to change the server first.
        super().__init__(message, retry_after_seconds=30)


class TooManyWaiters(QueueFull):
    """As many requests wait for an answer as the API has room for."""


class KeyReused(TopThreeError):
    """An Idempotency-Key came with another request before."""


class UnknownJob(TopThreeError):
    """No job with this id is known, or it belongs to another key."""


class GoneJob(TopThreeError):
    """The job was there; its result was deleted or has outlived its time."""


class ImageMissing(TopThreeError):
    """The picture of a job is not in the image store."""
