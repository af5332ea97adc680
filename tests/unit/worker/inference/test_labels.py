"""Logits become labels with confidences."""

import numpy as np
import pytest

from worker.inference.labels import softmax, top_predictions


def test_softmax_sums_to_one_and_survives_large_logits() -> None:
    probabilities = softmax(np.array([1000.0, 1000.0, -1000.0], np.float32))
    assert probabilities.tolist() == [0.5, 0.5, 0.0]


def test_the_most_likely_labels_come_first_with_five_decimals() -> None:
    # Given logits whose softmax is known
    logits = np.log(np.array([0.2, 0.7, 0.1], np.float32))
    # When the two best are wanted
    best = top_predictions(logits, ["cat", "dog", "fish"], 2)
    # Then they are in order
    assert [(p.label, p.confidence) for p in best] == [("dog", 0.7), ("cat", 0.2)]


def test_equal_logits_keep_the_order_of_the_classes() -> None:
    best = top_predictions(np.zeros(4, np.float32), list("abcd"), 3)
    assert [p.label for p in best] == ["a", "b", "c"]


def test_more_labels_than_classes_is_an_error() -> None:
    with pytest.raises(ValueError, match="2 classes and 1 labels"):
        top_predictions(np.zeros(2, np.float32), ["a"], 1)
