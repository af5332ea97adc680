"""Outputs: what is written can be read and continued, wherever it was cut off."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topthree_client import Label, Result
from topthree_client.file_answers import Answer
from topthree_client.formats import BadOutput, CsvLines, JsonLines, LineFormat, printable
from topthree_client.output import open_output

TOP = 2
# What a file may be called: any bytes but two.
names = st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name and b"/" not in name).map(os.fsdecode)
results = st.builds(
    lambda first, second, confidence: Result((Label(first, confidence), Label(second, 0.1)), "m", "d"),
    *(st.text(min_size=1, max_size=9, alphabet=st.characters(exclude_categories=["Cs"])) for _ in range(2)),
    st.floats(0, 1),
)
answers = st.one_of(
    st.builds(Answer, names, results), st.builds(lambda name: Answer(name, problem='No "labels",\n'), names)
)
forms = st.sampled_from([CsvLines(TOP), JsonLines(TOP)])


@settings(deadline=None)
@given(forms, st.lists(answers, max_size=4), st.data())
def test_wherever_a_file_is_cut_the_whole_lines_are_read_and_nothing_else(
    form: LineFormat, written: list[Answer], data: st.DataObject
) -> None:
    # Given a file that was cut off somewhere
    pieces = [text.encode("utf-8", "surrogateescape") for text in [form.header, *map(form.line, written)]]
    whole = b"".join(pieces)
    cut = data.draw(st.integers(0, len(whole)))
    # When it is read
    read, end = form.read(whole[:cut])
    # Then as many answers are found as are whole, and where they end
    ends = [len(b"".join(pieces[: count + 1])) for count in range(len(pieces))]
    count = sum(each <= cut for each in ends)
    assert read == written[: max(0, count - 1)]
    assert end == (ends[count - 1] if count else 0)


ONE, TWO = (Answer(f"{name}.png", Result((Label("cat", 0.5), Label("dog", 0.25)), "m", "d")) for name in "ab")


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize("lost_bytes", [0, 1, 10])
def test_a_file_is_continued_after_its_last_whole_line(tmp_path: Path, suffix: str, lost_bytes: int) -> None:
    # Given a file whose last line may have lost its end
    out = tmp_path / "out"
    for answer in (ONE, TWO):
        output = open_output(suffix, out, TOP)
        output.add(answer)
        output.close()
    whole = out.read_bytes()
    os.truncate(out, len(whole) - lost_bytes)
    # When it is opened again
    output = open_output(suffix, out, TOP)
    # Then it knows what is whole, and goes on there
    assert list(output.answered) == ([ONE] if lost_bytes else [ONE, TWO])
    if lost_bytes:
        output.add(TWO)
    output.close()
    assert out.read_bytes() == whole


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_line_is_in_the_file_as_soon_as_it_is_known(tmp_path: Path, suffix: str) -> None:
    output = open_output(suffix, tmp_path / "out", TOP)
    output.add(ONE)
    assert b"a.png" in (tmp_path / "out").read_bytes()
    output.close()


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json"])
@pytest.mark.parametrize(
    "content",
    [b"hello", b"hello\n", b"file,label\n", b'{"a": 1}\n', b"[1]\n", b'{"a": 1}', b"\x89PNG\r\n\x1a\n", b"null"],
)
def test_a_file_of_somebody_else_is_left_as_it_is(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / "out").write_bytes(content)
    with pytest.raises(BadOutput):
        open_output(suffix, tmp_path / "out", TOP)
    assert (tmp_path / "out").read_bytes() == content


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json"])
def test_a_file_with_more_labels_is_not_continued_with_fewer(tmp_path: Path, suffix: str) -> None:
    # Given a file whose answer has two labels
    output = open_output(suffix, tmp_path / "out", TOP)
    output.add(ONE)
    output.close()
    before = (tmp_path / "out").read_bytes()
    # When it is opened for one label, Then it is refused, and left as it is
    with pytest.raises(BadOutput, match="not made with --top 1; use another file"):
        open_output(suffix, tmp_path / "out", 1)
    assert (tmp_path / "out").read_bytes() == before


@pytest.mark.parametrize("suffix", ["jsonl", "json"])
def test_a_model_may_know_fewer_labels_than_are_wanted(tmp_path: Path, suffix: str) -> None:
    for _ in range(2):
        output = open_output(suffix, tmp_path / "out", 5)
        output.add(ONE)
        output.close()
    assert output.answered == [ONE]


def test_what_would_do_something_to_a_terminal_is_escaped() -> None:
    assert printable("ä \x1b[2J\n\udce9\u202e") == "ä \\x1b[2J\\n\\udce9\\u202e"
