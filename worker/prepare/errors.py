"""Errors of the preparation of a model; every message is for the person who ran it."""


class PrepareError(Exception):
    """The model cannot be prepared."""


class HubUnreachable(PrepareError):
    """The hub did not answer, or its answer broke off: trying again later, or a fallback, may help."""


class NotConvertible(PrepareError):
    """LiteRT cannot run the model; TensorFlow can."""
