"""Compares the answers of a quantised model with those of the float32 model."""

import json
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray

from worker.inference.engines import Engine
from worker.inference.labels import softmax
from worker.prepare.errors import PrepareError

Floats = NDArray[np.float32]

# Even if every picture of fewer gets the same label, the interval reaches below 95 %.
_ENOUGH = 75
# The quantile of the normal distribution for a two-sided interval of 95 %.
_Z = 1.959964


@dataclass(frozen=True)
class Comparison:
    """The answers of both models to one picture."""

    same_label: bool
    change: float
    """Absolute difference of the first confidences."""
    float32_ms: float
    int8_ms: float


@dataclass(frozen=True)
class Report:
    """A summary of the comparisons, at least one."""

    comparisons: list[Comparison]

    @property
    def pictures(self) -> int:
        """Number of pictures."""
        return len(self.comparisons)

    @property
    def enough(self) -> bool:
        """Whether there are enough pictures to tell whether at least 95 % agree."""
        return self.pictures >= _ENOUGH

    @property
    def same_label(self) -> int:
        """Number of pictures with the same first label from both models."""
        return sum(comparison.same_label for comparison in self.comparisons)

    @property
    def agreement_percent(self) -> float:
        """Share of pictures with the same first label."""
        return 100 * self.same_label / self.pictures

    @property
    def interval_percent(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the agreement."""
        low, high = wilson_interval(self.same_label, self.pictures)
        return 100 * low, 100 * high

    @property
    def changes(self) -> tuple[float, float]:
        """Mean and largest change of the first confidence."""
        changes = [comparison.change for comparison in self.comparisons]
        return fmean(changes), max(changes)

    @property
    def milliseconds(self) -> tuple[float, float]:
        """Median CPU time of one inference, float32 and int8."""
        return (
            median(comparison.float32_ms for comparison in self.comparisons),
            median(comparison.int8_ms for comparison in self.comparisons),
        )

    def lines(self) -> list[str]:
        """Return the report as sentences."""
        (low, high), (mean, largest), (float32, int8) = self.interval_percent, self.changes, self.milliseconds
        lines = [
            f"int8 gives the label of float32 for {self.same_label} of {self.pictures} pictures that were not used for "
            f"calibration: {self.agreement_percent:.1f} % (95 % interval: {low:.1f} to {high:.1f} %)",
            f"the first confidence changes by {mean:.3f} on average, by {largest:.3f} at most",
            f"one inference takes {int8:.1f} ms instead of {float32:.1f} ms on this machine",
        ]
        if not self.enough:
            lines.append(
                f"{self.pictures} pictures are too few to tell how often int8 differs: "
                "set CALIBRATION_IMAGES to a folder with some hundreds of photographs like yours"
            )
        return lines

    def to_json(self) -> str:
        """Return the content of `report.json`."""
        mean, largest = self.changes
        float32, int8 = self.milliseconds
        content = {
            "pictures": self.pictures,
            "enough_pictures": self.enough,
            "same_label": self.same_label,
            "agreement_percent": round(self.agreement_percent, 2),
            "agreement_interval_percent": [round(limit, 2) for limit in self.interval_percent],
            "first_confidence_change": {"mean": round(mean, 5), "largest": round(largest, 5)},
            "inference_ms": {"float32": round(float32, 2), "int8": round(int8, 2)},
        }
        return json.dumps(content, indent=2) + "\n"

    def check(self, least_percent: float) -> None:
        """Raise PrepareError if the agreement is below `least_percent`.

        A few pictures count only if they leave no doubt: one that differs of ten says little.
        """
        low, high = self.interval_percent
        found = self.agreement_percent if self.enough else high
        if found < least_percent:
            raise PrepareError(
                f"int8 gives the label of float32 for only {self.agreement_percent:.1f} % of {self.pictures} pictures "
                f"(95 % interval: {low:.1f} to {high:.1f} %), and {least_percent:g} % are required: set "
                "CALIBRATION_IMAGES to more photographs like yours, lower MIN_AGREEMENT, or use PRECISION=float32"
            )


def compare(float32: Engine, int8: Engine, pictures: Iterable[Floats]) -> Report:
    """Run both models on every picture in turn; PrepareError if there is none."""
    comparisons = [_compare(float32, int8, picture) for picture in pictures]
    if not comparisons:
        raise PrepareError("none of the pictures to check int8 with can be decoded: see the lines above")
    return Report(comparisons)


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a probability by Wilson's formula, which holds for few trials and near 1, too."""
    share, square = successes / trials, _Z * _Z
    centre = share + square / (2 * trials)
    half = _Z * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    scale = 1 + square / trials
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def _compare(float32: Engine, int8: Engine, picture: Floats) -> Comparison:
    before, float32_ms = _timed(float32, picture)
    after, int8_ms = _timed(int8, picture)
    change = abs(float(before.max()) - float(after.max()))
    return Comparison(int(before.argmax()) == int(after.argmax()), change, float32_ms, int8_ms)


def _timed(engine: Engine, picture: Floats) -> tuple[Floats, float]:
    """Return the probabilities, and the CPU time, which other programs on the machine change least."""
    began = time.thread_time()
    logits = engine.logits(picture)[0]
    return softmax(logits), 1000 * (time.thread_time() - began)
