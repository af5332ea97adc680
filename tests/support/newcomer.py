"""Somebody who follows a page of the documentation: its commands in order, in one shell, in a folder of his own."""

import json
import os
import re
import shlex
import signal
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from deploy.local.embedded_redis import free_port
from tests.support.documentation import Block
from tests.support.processes import Process
from tests.support.repository import ROOT, copy_repository

PAGE_SECONDS = 300
STOP_SECONDS = 60
TERMINAL = Path(__file__).with_name("newcomer.sh")
COMMANDS = ("sh", "python", "javascript")
PROGRAMS = {"python": ".venv/bin/python -", "javascript": "node --input-type=module -"}
ANSWERS = ("json", "http", "text")
# A port of the pages where it stands in an address, a setting or the path of `make run`'s data.
PORT = re.compile(r"(?<=[:=/])(5000|5001|9100)\b")
MODEL = "efficientnet_lite0"


def follow(
    page: Sequence[Block],
    wanted: Sequence[Block],
    folder: Path,
    replacements: Mapping[str, str],
    environ: Mapping[str, str],
) -> None:
    """Run those commands of a page that are `wanted`; AssertionError if one fails or prints something else than shown.

    Their ports are replaced by free ones, and each of `replacements` by its value; `environ` is what he has set.
    """
    _lay_out(folder)
    ports = {port: str(free_port()) for port in ("5000", "5001", "9100")}
    steps = {number: block for number, block in enumerate(page) if block in wanted}
    shown = {number: answer for number, (_, answer) in enumerate(pairwise(page)) if answer.language in ANSWERS}
    # A page that starts no service takes for granted that there is one.
    script = [
        f". {shlex.quote(str(TERMINAL))}\n",
        "" if any("make run" in block.text for block in wanted) else "make run\n",
    ]
    for number, block in steps.items():
        text = _replace(block.text, ports, replacements)
        script.append(_step(block, text, folder / f"{number}.out", fails=_is_error(shown.get(number))))
    (folder / "commands").write_text("".join(script), "utf-8")
    _run(folder, ports["5000"], environ)
    for number in steps.keys() & shown.keys():
        _compare(shown[number], (folder / f"{number}.out").read_text("utf-8"))


def _replace(text: str, ports: Mapping[str, str], replacements: Mapping[str, str]) -> str:
    text = PORT.sub(lambda found: ports[found[0]], text)
    for old, new in replacements.items():
        text = text.replace(old, new)
    return text


def _lay_out(folder: Path) -> None:
    """Make a folder as `make run` leaves the repository, whatever is written into it."""
    copy_repository(folder)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (folder / "models").mkdir()
    (folder / "models" / MODEL).symlink_to(ROOT / "models" / MODEL)


def _step(block: Block, text: str, output: Path, *, fails: bool) -> str:
    """Return a block as a part of the script that says where it is and keeps what it prints."""
    if block.language in PROGRAMS:
        text = f"{PROGRAMS[block.language]} <<'END_OF_PROGRAM'\n{text}END_OF_PROGRAM\n"
    # A command with `--fail` fails by itself; curl takes one of the two only.
    on_error = "" if fails or "--fail" in text else "--fail-with-body"
    return f"echo {block.page}:{block.line}\non_error={on_error}\n{{\n{text}}} > {shlex.quote(str(output))}\n"


def _run(folder: Path, port: str, given: Mapping[str, str]) -> None:
    environ = {
        **given,
        "MODEL": MODEL,
        "WORKERS": "1",
        "PORT": port,
        "TOPTHREE_URL": f"http://127.0.0.1:{port}",
        "PATH": f"{folder}/.venv/bin:{os.environ['PATH']}",
        # Tables are as wide as they like.
        "COLUMNS": "200",
        # Its own server alone stands for the hub.
        "no_proxy": "127.0.0.1",
        "TFHUB_CACHE_DIR": "",
        # Nothing of the `make` that runs the tests.
        "MAKEFLAGS": "",
        "MAKELEVEL": "",
    }
    process = Process(["bash", "-c", 'cd "$1" && . ./commands', "bash", str(folder)], folder / "log", **environ)
    try:
        code = process.wait(PAGE_SECONDS)
    finally:
        if process.running:
            # Every process, as a service stops its own when it is told to.
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(STOP_SECONDS)
    assert code == 0, f"exit code {code} after\n{process.output}\n{_last_output(folder)}"


def _last_output(folder: Path) -> str:
    written = sorted(folder.glob("*.out"), key=lambda path: path.stat().st_mtime_ns)
    return written[-1].read_text("utf-8", errors="replace") if written else ""


def _is_error(answer: Block | None) -> bool:
    return answer is not None and answer.language == "http" and _parse_http(answer.text)[0] >= 400


def _compare(answer: Block, printed: str) -> None:
    """What was printed has the shape of what the page shows; values and names of machines differ."""
    where = f"{answer.page}:{answer.line} shows something else than this:\n{printed}"
    if answer.language == "text":
        assert _cells(printed) == _cells(answer.text), where
    elif answer.language == "json":
        assert _shape(json.loads(printed)) == _shape(json.loads(answer.text)), where
    else:
        status, headers, body = _parse_http(printed)
        shown_status, shown_headers, shown_body = _parse_http(answer.text)
        assert status == shown_status and shown_headers <= headers, where
        assert not shown_body or _shape(json.loads(body)) == _shape(json.loads(shown_body)), where


def _parse_http(text: str) -> tuple[int, set[str], str]:
    """Return status, names of headers and body."""
    head, _, body = text.replace("\r", "").partition("\n\n")
    first, *rest = head.splitlines()
    return int(first.split()[1]), {line.partition(":")[0].lower() for line in rest}, body.strip()


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_shape(part) for part in value]
    return "number" if isinstance(value, int | float) else type(value).__name__


def _cells(text: str) -> list[str]:
    """Return the parts between line breaks or two spaces, as a table has them, without lines that are drawn.

    Words with a digit, cut short or very long are alike.
    """
    cells = (" ".join(cell.split()) for cell in re.split(r"\n|  +", text))
    return [re.sub(r"\S*[\d…]\S*|\S{40,}", "#", cell) for cell in cells if cell and set(cell) != {"─"}]
