"""What ends an attempt through no fault of the picture."""


class DecodeProcessLost(Exception):
    """The process that decoded died, or none can be started; the job is requeued for another attempt."""
