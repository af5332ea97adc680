"""Converts logits to the most likely labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE_DECIMALS = 5


@dataclass(frozen=True)
class Prediction:
    """A label and its probability in [0, 1]."""

    label: str
    confidence: float


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert logits, float32 [classes], to probabilities that sum to 1."""
    # Subtract the maximum, so that exp does not overflow.
    exponentials = np.exp(logits - np.max(logits))
    return np.asarray(exponentials / exponentials.sum(), dtype=np.float32)


def top_predictions(logits: NDArray[np.float32], labels: Sequence[str], count: int) -> list[Prediction]:
    """Return the `count` most likely labels for logits float32 [classes], most likely first.

    Raises:
        ValueError: the numbers of labels and logits differ.
    """
    if len(labels) != len(logits):
        raise ValueError(f"The model has {len(logits)} classes and {len(labels)} labels.")
    probabilities = softmax(logits)
    best = np.argsort(-probabilities, kind="stable")[:count]
    return [Prediction(labels[i], round(float(probabilities[i]), CONFIDENCE_DECIMALS)) for i in best]
