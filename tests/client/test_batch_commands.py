"""`topthree batch list`, `show`, `results` and `cancel`."""

import csv
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.client.batch_service import BatchService
from tests.client.conftest import Run, problem
from topthree_client.begun_batches import BegunBatch, BegunBatches, begun_batches

URL = "http://127.0.0.1:5000"


@pytest.fixture
def service() -> BatchService:
    """The service of the fixture `run`."""
    return BatchService()


@pytest.fixture(autouse=True)
def begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> BegunBatches:
    """The batches begun on this computer: none yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return begun_batches()


@pytest.fixture
def batch_id(run: Run, service: BatchService) -> str:
    """The id of a batch of 30 pictures, one of which fails and one is broken."""
    Path("many").mkdir()
    for number in range(29):
        Path(f"many/{number:02}.png").write_bytes(f"is {number:02}".encode())
    Path("many/fails.png").write_bytes(b"fails")
    Path("many/bad.png").write_bytes(b"bad")
    assert run("-q", "classify", "many", "--out", "first.csv") == 1
    return next(iter(service.batches))


def test_batches_begun_here_are_listed_with_their_state(
    run: Run, begun: BegunBatches, batch_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begun.add(BegunBatch(batch_id, URL, "2026-11-27T20:00:58+01:00", "many"))
    capsys.readouterr()
    assert run("batch", "list") == 0
    shown = capsys.readouterr()
    assert re.search(rf"{batch_id} +completed +30/30 +2026-11-27 *\n +many +19:00:58 UTC", shown.out)
    assert shown.err == ""


def test_a_list_fits_80_columns_and_escapes_names(
    run: Run,
    service: BatchService,
    begun: BegunBatches,
    batch_id: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Given a batch of a folder whose name would do something to a terminal
    begun.add(BegunBatch.now(batch_id, URL, "a long name " * 20 + "\x1b[2J\udce9"))
    monkeypatch.setenv("COLUMNS", "80")
    capsys.readouterr()
    # When batches are listed, Then every line fits, and nothing is lost or done
    assert run("batch", "list") == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert "\x1b" not in shown and "x1b[2J" in re.sub(r"\s", "", shown) and batch_id in shown


def test_batches_that_the_service_does_not_find_stay_in_the_list(
    run: Run, service: BatchService, begun: BegunBatches, batch_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a batch that the service does not find, because it has forgotten it or the key is another one
    kept = dict(service.batches)
    service.batches.clear()
    capsys.readouterr()
    # When batches are listed, Then it is there, and it is said what may be the reason
    assert run("batch", "list") == 0
    shown = capsys.readouterr()
    assert re.search(rf"{batch_id} +not found +-", shown.out)
    assert shown.err.splitlines() == [
        "topthree: Not found: the service has forgotten these batches, or they belong to another API key."
    ]
    # And it has its state when the service finds it again
    service.batches.update(kept)
    assert run("batch", "list") == 0
    assert re.search(rf"{batch_id} +completed", capsys.readouterr().out)


def test_old_batches_that_the_service_does_not_find_are_forgotten(
    run: Run, service: BatchService, begun: BegunBatches, batch_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given old batches: one that the service has, one that it has not, one at another address; and a younger one
    old, young = (datetime.now(UTC) - timedelta(days=days) for days in (31, 29))
    begun.add(BegunBatch(batch_id, URL, old.isoformat(), "many"))
    begun.add(BegunBatch("b" * 32, URL, old.isoformat(), "old"))
    begun.add(BegunBatch("c" * 32, URL, young.isoformat(), "young"))
    begun.add(BegunBatch("e" * 32, "http://elsewhere", old.isoformat(), "more"))
    capsys.readouterr()
    # When batches are listed, Then the one that it has not is dropped, and the one elsewhere is not asked for
    assert run("batch", "list") == 0
    shown = capsys.readouterr()
    assert batch_id in shown.out and "c" * 32 in shown.out and "b" * 32 not in shown.out
    assert "topthree: Other batches are at http://elsewhere; use --url.\n" in shown.err
    assert {each.id for each in begun.read()} == {batch_id, "c" * 32, "e" * 32}
    assert not [request for request in service.asked if "e" * 32 in request.url.path]


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_loses_no_batch(
    run: Run, service: BatchService, begun: BegunBatches, batch_id: str, status: int
) -> None:
    service.before = lambda _: problem(status)
    assert run("batch", "list") == 3
    assert [each.id for each in begun.read()] == [batch_id]


def test_an_empty_list_needs_a_key_too(run: Run, service: BatchService, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a service that needs keys, and no batches
    assert run("batch", "list") == 0
    service.before = lambda request: None if request.url.path.startswith("/health/") else problem(401, "A wrong key.")
    capsys.readouterr()
    # When batches are listed, Then the wrong key is told
    assert run("batch", "list") == 3
    assert "A wrong key." in capsys.readouterr().err


def test_batches_are_kept_while_the_service_is_away(
    run: Run, service: BatchService, begun: BegunBatches, batch_id: str
) -> None:
    service.before = lambda _: problem(503)
    assert run("batch", "list") == 3
    assert [each.id for each in begun.read()] == [batch_id]


def test_the_latest_batch_comes_first_and_files_of_others_are_left(begun: BegunBatches, tmp_path: Path) -> None:
    for place, batch_id in enumerate(("a", "b", "c")):
        begun.add(BegunBatch(batch_id, URL, f"2026-11-27T19:00:0{place}+00:00", "many"))
    folder = tmp_path / "state" / "topthree" / "batches"
    (folder / "other.json").write_text("{}")
    (folder / "cut.json").write_text('{"id": "x", ')
    (folder / "never.json").write_text('{"id": "x", "url": "", "begun": "never", "pictures": ""}')
    assert [each.id for each in begun.read()] == ["c", "b", "a"]


@pytest.mark.parametrize("state", ["/dev/null", ""])
def test_a_folder_that_cannot_be_written_stops_nothing(
    run: Run, service: BatchService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: str
) -> None:
    # Given a computer on which nothing can be remembered
    monkeypatch.setenv("XDG_STATE_HOME", state)
    monkeypatch.setenv("HOME", "/dev/null")
    Path("many").mkdir()
    for number in range(30):
        Path(f"many/{number}.png").write_bytes(b"%d" % number)
    # When pictures are classified, Then they are, and that is told
    assert run("classify", "many", "--out", "out.csv") == 0
    assert "`topthree batch list` will not show the batch" in capsys.readouterr().err
    assert run("batch", "list") == 0


def test_show_says_how_far_a_batch_is(
    run: Run, service: BatchService, batch_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    service.held = {b"is 28"}
    capsys.readouterr()
    assert run("batch", "show", batch_id) == 0
    shown = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert [(name, value.strip()) for name, value in shown] == [
        ("batch", batch_id),
        ("state", "closed"),
        ("pictures", "30 added, 28 succeeded, 1 failed, 1 open"),
        ("opened", "2026-11-27 19:00:58 UTC"),
        ("closed", "2026-11-27 19:00:58 UTC"),
    ]


def test_results_in_each_format(run: Run, batch_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    def output(*arguments: str) -> str:
        capsys.readouterr()
        assert run("batch", "results", batch_id, *arguments) == 1
        shown = capsys.readouterr()
        assert shown.err.startswith("30 pictures: 29 labelled, 1 failed, ")
        return shown.out

    # Given a batch, When its results are read, Then they have the same formats as those of `classify`
    assert "many/00.png" in output() and "00 70.0%" in output() and "The model failed." in output()
    first = json.loads(output("--format", "jsonl").splitlines()[0])
    assert first == {
        "file": "many/00.png",
        "labels": [{"label": "00", "confidence": 0.7}, {"label": "dog", "confidence": 0.2}],
        "model": {"name": "m", "digest": "d" * 64},
    }
    assert len(json.loads(output("--format", "json"))) == 30
    rows = list(csv.reader(output("--format", "csv").splitlines()))
    assert rows[0] == ["file", "label_1", "confidence_1", "label_2", "confidence_2", "model", "digest", "error"]
    assert rows[1][:3] == ["many/00.png", "00", "0.7"] and rows[-1][-1] == "The model failed."


def test_results_in_a_file_replace_earlier_ones(
    run: Run, service: BatchService, batch_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a batch in which a picture has not ended, and an earlier file
    service.held = {b"is 10"}
    Path("out.csv").write_text("earlier")
    capsys.readouterr()
    # When its results are written, Then there are those before it, and that is told
    assert run("batch", "results", batch_id, "--out", "out.csv") == 1
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("30 pictures: 10 labelled, 20 not answered -> out.csv, ")
    assert told[1] == "topthree: The batch has not ended. Run the same command later for the other results."
    assert len(Path("out.csv").read_text().splitlines()) == 11
    # And when it has ended, there are all
    service.held = set()
    assert run("batch", "results", batch_id, "--out", "out.csv") == 1
    assert len(Path("out.csv").read_text().splitlines()) == 31
    assert sorted(file.name for file in Path().glob("out*")) == ["out.csv"]


def test_results_without_failures_are_0(run: Run, service: BatchService, batch_id: str) -> None:
    batch = service.batches[batch_id]
    batch.pictures = [each for each in batch.pictures if each[2] != b"fails"]
    assert run("batch", "results", batch_id, "--format", "csv") == 0
    # And with nothing in the batch there is nothing to print
    batch.pictures = []
    assert run("batch", "results", batch_id) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["results", "a/b"], "'a/b' is not the id of a batch: an id has only digits and letters, such as "),
        (["show", "a/b"], "'a/b' is not the id of a batch: an id has only digits and letters, such as "),
        (["cancel", "a", "a/b"], "'a/b' is not the id of a batch: an id has only digits and letters, such as "),
        (["results", "a", "--out", "out.txt"], "--format"),
        (["results", "BATCH", "--out", "nosuch/out.csv"], "nosuch/out.csv cannot be written: No such file"),
        (["results", "BATCH", "--out", "many", "--format", "csv"], "not a regular file"),
    ],
)
def test_bad_arguments_are_2(
    run: Run, batch_id: str, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    capsys.readouterr()
    assert run("batch", *(batch_id if each == "BATCH" else each for each in arguments)) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["show"], ["results"], ["cancel"], []])
def test_missing_arguments_are_2(run: Run, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run("batch", *arguments)
    assert end.value.code == 2


@pytest.mark.parametrize("command", ["show", "results", "cancel"])
def test_a_batch_that_is_gone_is_1(run: Run, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert run("batch", command, "f" * 32) == 1
    assert capsys.readouterr().err == f"topthree: {'f' * 32}: There is no batch with this id.\n"


def test_cancel_names_each_batch(
    run: Run, service: BatchService, batch_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a batch that has ended and one that has not
    service.held = {b"held"}
    Path("many/29.png").write_bytes(b"held")
    capsys.readouterr()
    assert run("classify", "many", "--out", "second.csv", "--timeout", "0.2", "-q") == 1
    ended, other = service.batches
    assert ended == batch_id
    capsys.readouterr()
    # When both are canceled, Then each is named, with the outcome
    assert run("batch", "cancel", ended, other) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"topthree: {ended}: The batch had ended before; its results are kept.",
        f"topthree: {other}: canceled; its results are deleted",
    ]
    assert [batch.state for batch in service.batches.values()] == ["closed", "canceled"]
    # And the results of the canceled one are gone
    assert run("batch", "results", other) == 1
    assert "was canceled" in capsys.readouterr().err
    assert run("batch", "show", other) == 0
    assert "results   deleted, because the batch was canceled" in capsys.readouterr().out
    # And when it is canceled again, nobody is told that it has results
    assert run("batch", "cancel", other) == 1
    told = capsys.readouterr().err
    assert told == f"topthree: {other}: The batch was canceled before; its results are deleted.\n"
