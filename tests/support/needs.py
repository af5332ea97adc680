"""Skips a test on a machine that lacks what it needs; in CI it fails instead, so that no skip hides there."""

import os
import shutil
from typing import NoReturn

import pytest


def skip_outside_ci(need: str) -> NoReturn:
    """Skip the test; fail if the variable CI is set. `need` is the reason: "needs nginx"."""
    if os.environ.get("CI"):
        pytest.fail(f"In CI this test must run, but it {need}.")
    pytest.skip(f"This test {need}.")


def node() -> str:
    """Return the path of Node; skip the test if there is none."""
    return shutil.which("node") or skip_outside_ci("needs node")
