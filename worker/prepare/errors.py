"""What can go wrong while a model is prepared; every message is one sentence for the person who ran it."""


class PrepareError(Exception):
    """The model cannot be prepared."""


class HubUnreachable(PrepareError):
    """The hub did not answer, or its answer broke off: trying again later, or a fallback, may help."""


class NotConvertible(PrepareError):
    """LiteRT cannot run the model; TensorFlow can."""
