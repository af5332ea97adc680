"""The reference in docs/ is complete and matches the source."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.command_line import topthree
from tests.support.documentation import pages
from tests.support.reference import PAGES, written
from tests.support.repository import ROOT

HTTP = (ROOT / "docs" / "http.md").read_text("utf-8")
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text("utf-8")
COMMAND_LINE = (ROOT / "docs" / "command-line.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def section(text: str, title: str) -> str:
    """Return what stands below a title of the second level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def rows(text: str) -> list[list[str]]:
    """Return the cells of the rows of all tables, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    found = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    heads = {number - 1 for number, line in enumerate(lines) if set(line) <= {"|", "-"}}
    return [row for number, row in enumerate(found) if number not in heads and set("".join(row)) != {"-", "|"}]


def names(cells: Iterable[str]) -> set[str]:
    """Return what stands in backticks."""
    return {name for cell in cells for name in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", cell)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_of_a_page_match_the_source(page: Path) -> None:
    # After an intended change of the source: `make reference`.
    assert page.read_text("utf-8") == written(page)


def test_every_problem_that_ends_a_job_is_in_the_reference() -> None:
    told = {(row[0], row[1]) for row in rows(section(HTTP, "Problems"))}
    sources = [path.read_text("utf-8") for folder in ("worker", "shared") for path in (ROOT / folder).rglob("*.py")]
    made = {
        (title, status)
        for source in sources
        for status, title in re.findall(r'"status": (\d+),\s*"title": "([^"]+)"', source)
    }
    assert told == made


def options(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


def test_the_help_of_the_command_line_matches_the_reference() -> None:
    # Given the output of `--help`, of the whole and of each command
    general = topthree("--help").stdout.decode()
    commands = re.findall(r"^    (\w+) ", general, re.MULTILINE)
    helps = {command: topthree(command, "--help").stdout.decode() for command in commands}
    # Then the page has the same commands, options, exit codes and variables
    assert commands == re.findall(r"^## `topthree (\w+)`", COMMAND_LINE, re.MULTILINE)
    assert options(" ".join(names([COMMAND_LINE]))) == options(general + "".join(helps.values())) - {"--help"}
    common = options(helps["cancel"])
    told = rows(section(COMMAND_LINE, "Options of every command"))
    assert options(" ".join(row[0] for row in told)) == common - {"--help"}
    for command, text in helps.items():
        table = rows(section(COMMAND_LINE, f"`topthree {command}`"))
        assert options(" ".join(row[0] for row in table)) == options(text) - common
    table = rows(section(COMMAND_LINE, "`topthree classify`"))
    assert [row[0] for row in table if row[0].isdigit()] == re.findall(r"^  (\d+) ", helps["classify"], re.MULTILINE)
    assert set(re.findall(r"TOPTHREE_\w+", COMMAND_LINE)) == set(re.findall(r"TOPTHREE_\w+", helps["classify"]))


def settings() -> set[str]:
    return names(row[0] for row in rows(section(CONFIGURATION, "The service")))


def test_every_variable_of_make_is_in_the_reference() -> None:
    told = names(row[0] for row in rows(section(CONFIGURATION, "`make`")))
    set_there = set(re.findall(r"^([A-Z_]+) :?= ", MAKEFILE, re.MULTILINE))
    used = set(re.findall(r"\$\(([A-Z_]+)\)", MAKEFILE)) - set_there - {"MAKEFILE_LIST"}
    preparation = (ROOT / "worker" / "prepare" / "__main__.py").read_text("utf-8")
    used |= set(re.findall(r'environ\.get\("(\w+)"', preparation))
    assert {name.removeprefix("TOPTHREE_") for name in used} - settings() == told


def test_every_variable_of_the_tests_is_where_developers_read() -> None:
    told = set(re.findall(r"TOPTHREE_\w+", (ROOT / "CONTRIBUTING.md").read_text("utf-8")))
    sources = [path.read_text("utf-8") for path in (ROOT / "tests").glob("**/*.py")]
    used = {name for source in sources for name in re.findall(r'environ(?:\.get\(|\[)"(TOPTHREE_\w+)', source)}
    assert used == told


def test_every_variable_of_compose_is_in_the_reference() -> None:
    told = names(row[0] for row in rows(section(CONFIGURATION, "Docker compose")))
    files = [ROOT / "docker-compose.yml", *(ROOT / "deploy").glob("compose.*.yml")]
    used = {name for file in files for name in re.findall(r"\$\{([A-Z_]+)", file.read_text("utf-8"))}
    assert used - settings() <= told
    # What ends so stands for variables that are not topthree's.
    assert {name for name in told if not name.endswith("…")} <= used


def test_every_target_of_make_that_a_page_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    for page in pages():
        named = set(re.findall(r"(?:`|^|[A-Z]+=\S+ )make ([a-z-]+)", page.read_text("utf-8"), re.MULTILINE))
        assert named <= targets, page
