"""What the code and the documentation say about picture formats agrees with the one table of them."""

import re

from shared.images.formats import FORMATS, NAMES, SUFFIXES, UNREADABLE
from tests.support.pictures import KINDS
from tests.support.repository import ROOT
from topthree_client.picture_files import EXTENSIONS


def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_sentences_name_the_formats_as_people_do() -> None:
    assert NAMES.startswith("JPEG, PNG, ")
    assert re.split(", | or ", NAMES) == [each.name for each in FORMATS]
    assert UNREADABLE.endswith(f"Send a {NAMES} file.")


def test_no_name_stands_for_two_formats() -> None:
    for names in (
        [each.name for each in FORMATS],
        [name for each in FORMATS for name in (each.pillow, *each.also)],
        list(SUFFIXES),
    ):
        assert len(set(names)) == len(names)


def test_every_format_has_a_picture_in_the_tests() -> None:
    # No library here writes HEIC: its picture is a file.
    assert {kind.partition(",")[0] for kind in KINDS} | {"HEIC"} == {each.name for each in FORMATS}


def test_the_command_line_finds_the_files_of_every_format() -> None:
    # The client is a distribution of its own, which cannot import the table.
    assert set(SUFFIXES) == EXTENSIONS


def test_the_documentation_names_every_format() -> None:
    readme = re.sub(r" \([^)]*\)", "", page("README.md"))
    assert NAMES.replace(" or ", " and ") in readme
    hostile = page("docs/hostile-pictures.md")
    assert ", ".join(each.name for each in FORMATS) in hostile
    [counted] = re.findall(r"^\| frames \|.*\((.*)\)", hostile, re.MULTILINE)
    assert set(counted.split(", ")) == {each.name for each in FORMATS if each.counts_frames}
