"""Retry-After, as numbers and as dates."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from topthree_client.patience import read_retry_after


@pytest.mark.parametrize(("header", "seconds"), [("0", 0), ("120", 120), ("", 0), ("soon", 0), ("-3", 0), ("²", 0)])
def test_numbers_and_nonsense(header: str, seconds: float) -> None:
    assert read_retry_after(header) == seconds


def test_dates() -> None:
    moment = datetime.now(UTC) + timedelta(seconds=100)
    assert 95 < read_retry_after(format_datetime(moment, usegmt=True)) <= 100
    assert 95 < read_retry_after(format_datetime(moment.replace(tzinfo=None))) <= 100
    assert read_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0


@pytest.mark.parametrize(
    "header",
    ["Wed, 21 Oct 2025 07:28:00 +99999999999999999999", "Wed, 99999999999999999999 Oct 2025 07:28:00 GMT", "x" * 5000],
)
def test_invalid_dates_are_ignored(header: str) -> None:
    assert read_retry_after(header) == 0


@pytest.mark.parametrize("header", ["99999999999999999999", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_longer_times_are_capped(header: str) -> None:
    assert read_retry_after(header) == 366 * 86400
