"""How a quantised model is compared with the original, and when it is refused."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from worker.prepare.errors import PrepareError
from worker.prepare.report import Comparison, Report, compare, wilson_interval


class Table:
    """An engine that gives fixed logits, one row after the other."""

    def __init__(self, *rows: list[float]) -> None:
        self._rows = iter(rows)

    def logits(self, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray([next(self._rows)], np.float32)


def report_of(same: int, pictures: int) -> Report:
    return Report([Comparison(i < same, 0.01, 3.0, 2.0) for i in range(pictures)])


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # As statsmodels' proportion_confint(successes, trials, method="wilson").
    [(10, 10, 0.7225, 1.0), (9, 10, 0.5958, 0.9821), (980, 1000, 0.9693, 0.9870), (0, 10, 0.0, 0.2775)],
)
def test_the_interval_is_wilsons(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=1e-4)


def test_labels_and_first_confidences_are_compared() -> None:
    # Given two models that agree on the first picture, with another confidence, and not on the second
    before = Table([np.log(0.8), np.log(0.2)], [np.log(0.6), np.log(0.4)])
    after = Table([np.log(0.7), np.log(0.3)], [np.log(0.45), np.log(0.55)])

    report = compare(before, after, [np.zeros((1, 2, 2, 3), np.float32)] * 2)

    assert (report.pictures, report.same_label, report.agreement_percent) == (2, 1, 50)
    assert report.changes == pytest.approx((0.075, 0.1))
    written = json.loads(report.to_json())
    assert written["agreement_percent"] == 50
    assert written["first_confidence_change"] == {"mean": 0.075, "largest": 0.1}
    assert written["inference_ms"].keys() == {"float32", "int8"}


def test_a_model_that_changes_too_many_labels_is_refused() -> None:
    report_of(95, 100).check(95)
    with pytest.raises(PrepareError, match=r"only 94\.0 % of 100 pictures .* 95 % are required: .*MIN_AGREEMENT"):
        report_of(94, 100).check(95)
    report_of(94, 100).check(0)


def test_a_few_pictures_refuse_a_model_only_without_doubt() -> None:
    # 9 of 10 may be 98 % of all, 7 of 10 are at most 89 %
    report_of(9, 10).check(95)
    with pytest.raises(PrepareError, match=r"only 70\.0 % of 10 pictures"):
        report_of(7, 10).check(95)


def test_few_pictures_are_called_too_few() -> None:
    few, enough = report_of(10, 10), report_of(100, 100)

    assert "10 of 10 pictures" in few.lines()[0] and "72.2 to 100.0 %" in few.lines()[0]
    assert "10 pictures are too few to tell" in few.lines()[-1]
    assert not any("too few" in line for line in enough.lines())
    assert (json.loads(few.to_json())["enough_pictures"], json.loads(enough.to_json())["enough_pictures"]) == (
        False,
        True,
    )


def test_without_pictures_there_is_no_report() -> None:
    with pytest.raises(PrepareError, match="can be decoded"):
        compare(Table(), Table(), [])
