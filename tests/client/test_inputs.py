"""A picture on standard input, and lists of paths."""

import io
import os
from pathlib import Path

import pytest

from tests.client.conftest import Run, Service
from tests.support.command_line import read_lines


def give(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Put bytes on standard input."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


def files_in(out: str) -> list[str]:
    return sorted(line["file"] for line in read_lines(Path(out)))


def bodies(service: Service) -> list[bytes]:
    return sorted(request.read() for request in service.asked if request.method == "POST")


def test_a_picture_on_standard_input(run: Run, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, b"from a pipe")
    assert run("classify", "-", "good.png", "--out", "out.jsonl") == 0
    assert files_in("out.jsonl") == ["-", "good.png"] and bodies(service) == [b"from a pipe", b"good"]


def test_another_picture_on_standard_input_is_another_answer(
    run: Run, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an output with the answer for a picture on standard input
    give(monkeypatch, b"one")
    assert run("classify", "-", "--out", "out.jsonl") == 0
    # When another one comes, Then it is sent too
    give(monkeypatch, b"two")
    assert run("classify", "-", "--out", "out.jsonl") == 0
    assert bodies(service) == [b"one", b"two"] and files_in("out.jsonl") == ["-", "-"]


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (b"good.png\nodd name.png\n\nmany\n", []),
        (b"good.png\r\nodd name.png\r\nmany", []),
        (b"good.png\0odd name.png\0many\0", ["--null"]),
        (b"good.png\0odd name.png\0many", ["-0"]),
    ],
)
@pytest.mark.parametrize("source", ["-", "list"])
def test_a_list_of_files_and_folders(
    run: Run, monkeypatch: pytest.MonkeyPatch, data: bytes, options: list[str], source: str
) -> None:
    # Given a list, in a file or on standard input
    Path("odd name.png").write_bytes(b"odd")
    Path("many").mkdir()
    Path("many/1.png").write_bytes(b"1")
    give(monkeypatch, data) if source == "-" else Path("list").write_bytes(data)
    # When it is classified
    assert run("classify", "--files-from", source, *options, "--out", "out.jsonl") == 0
    # Then all of its pictures are answered
    assert files_in("out.jsonl") == ["good.png", "many/1.png", "odd name.png"]


def test_a_list_with_nul_keeps_names_with_line_breaks_and_bytes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [b"line\nbreak.png", b"latin\xe9.png", b"-"]
    for name in names:
        Path(os.fsdecode(name)).write_bytes(name)
    give(monkeypatch, b"\0".join(names))
    assert run("classify", "-0", "--files-from", "-", "--out", "out.jsonl") == 0
    assert files_in("out.jsonl") == sorted(["line\nbreak.png", "latin\udce9.png", "./-"])


def test_paths_and_a_list_are_joined_and_bad_paths_in_it_do_not_stop_the_rest(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, b"nosuch.png\ngood.png\n")
    Path("another.png").write_bytes(b"another")
    assert run("classify", "another.png", "good.png", "--files-from", "-", "--out", "out.jsonl") == 1
    assert files_in("out.jsonl") == ["another.png", "good.png"]
    assert "nosuch.png: there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-", "--files-from", "-"], "standard input cannot be both"),
        (["good.png", "--null"], "needs --files-from"),
        ([], "needs a file, a folder"),
    ],
)
def test_what_makes_no_sense_is_refused(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    with pytest.raises(SystemExit) as end:
        run("classify", *arguments)
    assert end.value.code == 2 and words in capsys.readouterr().err


def test_an_empty_list_is_an_error(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, b"")
    assert run("classify", "--files-from", "-") == 2
    assert "no pictures" in capsys.readouterr().err
