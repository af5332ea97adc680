"""A long run says how far it is, and a short one does not say more than that."""

import pytest

from tests.simulation.progress import Progress


def test_each_tenth_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    # Given a run of 1,000 seeds, a hundredth of which is done at a time
    progress = Progress(1000)
    # When all are done, the last half with a failure, Then ten lines say so
    for chunk in range(100):
        progress.add(10, failed=chunk // 50)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("100 of 1000 seeds, 0 failed, ") and lines[-1].startswith("1000 of 1000 seeds, 1 failed")
