"""topthree has one version: the service, its contract, the client and the changelog agree."""

import re
import subprocess
import sys
import tomllib

from shared.version import VERSION
from tests.support.contract import stored_document
from tests.support.repository import ROOT


def release_notes(version: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, ROOT / ".ci" / "release_notes.py", version]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_all_say_the_same_version() -> None:
    client = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    released = re.findall(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert {client, stored_document()["info"]["version"], released[0]} == {VERSION}


def test_a_release_of_this_version_has_notes_and_one_of_another_version_fails() -> None:
    # When this version is tagged, Then its section of the changelog is printed, without its heading
    done = release_notes(VERSION)
    assert done.returncode == 0 and done.stdout.strip() and "## " not in done.stdout.partition("###")[0], done.stderr
    # And when another one is, Then the file to change is named
    done = release_notes("99.0.0")
    assert (done.returncode, done.stdout) == (1, "") and "shared/version.py" in done.stderr
