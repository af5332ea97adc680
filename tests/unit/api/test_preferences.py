"""The Prefer header is read as RFC 7240 wants it."""

import pytest

from api.preferences import parse_preferences


@pytest.mark.parametrize(
    ("header", "respond_async", "wait", "applied"),
    [
        ("", False, None, ""),
        ("respond-async", True, None, "respond-async"),
        ("wait=10", False, 10, "wait=10"),
        ("respond-async, wait=5", True, 5, "respond-async, wait=5"),
        ('Wait="7"; foo=bar, handling=lenient', False, 7, "wait=7"),
        ("wait=600", False, 55, "wait=55"),
        ("wait=0", False, 0, "wait=0"),
        ("wait=-1", False, None, ""),
        (f"wait={'9' * 5000}", False, 55, "wait=55"),
        (f"wait={'0' * 5000}7", False, 7, "wait=7"),
        ("wait=soon", False, None, ""),
        ("wait=²", False, None, ""),
        ("wait=3, wait=9", False, 3, "wait=3"),
        (",;=,", False, None, ""),
    ],
)
def test_what_is_asked_is_understood_and_the_rest_ignored(
    header: str, respond_async: bool, wait: int | None, applied: str
) -> None:
    preferences = parse_preferences(header)
    assert (preferences.respond_async, preferences.wait_seconds) == (respond_async, wait)
    assert preferences.applied == applied
