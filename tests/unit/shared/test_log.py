"""One line an event: JSON for machines, text for people."""

import json
import os
import pty
import subprocess
import sys

from tests.support.repository import ROOT

PROGRAM = """
import logging, os
from shared.log import about_job, configure_logging
configure_logging("INFO", os.environ["FORM"])
log = logging.getLogger("here")
log.info("serving on %s", "somewhere")
with about_job("j1", "r1"):
    try:
        1 / 0
    except ZeroDivisionError as error:
        log.error("A job\\nfailed.", exc_info=error)
log.debug("too much")
"""


def run(form: str, stderr: int = subprocess.PIPE) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env={**os.environ, "FORM": form}, stderr=stderr, check=True
    )
    return done.stderr.decode() if done.stderr else ""


def test_what_no_terminal_reads_is_one_json_object_a_line() -> None:
    # When a process logs into a file or a pipe
    first, second = map(json.loads, run("auto").splitlines())
    # Then each event is one line, with its level and who told it
    assert (first["event"], first["level"], first["logger"]) == ("serving on somewhere", "info", "here")
    assert first["timestamp"].endswith("Z") and not {"job_id", "request_id"} & first.keys()
    # And one about a job has its ids, and the whole reason
    assert (second["event"], second["job_id"], second["request_id"]) == ("A job\nfailed.", "j1", "r1")
    assert second["exception"].splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_people_get_text_where_they_ask_for_it() -> None:
    first, *rest = run("text").splitlines()
    assert "serving on somewhere" in first and "{" not in first
    assert any("j1" in line and "r1" in line for line in rest)


def test_a_terminal_gets_text() -> None:
    ours, theirs = pty.openpty()
    try:
        run("auto", theirs)
        shown = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "serving on somewhere" in shown and '"event"' not in shown
