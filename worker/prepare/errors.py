"""Errors of preparing a model; the messages are shown to the user."""


class PrepareError(Exception):
    """The model cannot be prepared."""


class HubUnreachable(PrepareError):
    """The hub did not answer, or its answer is incomplete; a retry or the fallback may help."""


class NotConvertible(PrepareError):
    """The model cannot be converted to LiteRT; TensorFlow can run it."""
