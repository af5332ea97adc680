"""Decoding errors that are not caused by the picture."""


class DecodeProcessLost(Exception):
    """The decode process died, or cannot be started; the job is requeued for another attempt."""
