"""Every command of the documentation is run as it is written, those that need a Docker engine in tests/compose."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documentation import Block, blocks
from tests.support.hub_server import HubServer
from tests.support.needs import node
from tests.support.newcomer import ANSWERS, COMMANDS, follow
from tests.support.repository import ROOT
from tests.support.s3_server import BUCKET, S3Server
from tests.support.small_models import save_small_model

HUB = "https://tfhub.dev"
MY_BUCKET = "s3://my-bucket"
# What `.ci/run` runs itself, and what it runs within `make check`.
RUN_BY_CI = ("make check", "make test")
# Files that pages show, pictures, and examples that tests/client/test_examples.py runs.
OTHER_LANGUAGES = ("yaml", "ini", "nginx", "caddyfile", "mermaid", "pycon")
# Pages that need servers of their own: their tests.
ELSEWHERE = {
    "docs/how-to/air-gapped.md": "tests/guides/test_air_gapped.py",
    "docs/how-to/kubernetes.md": "tests/guides/test_kubernetes.py",
}
# The page whose program in JavaScript is a server: its test.
SERVER = ("docs/how-to/webhooks.md", "tests/guides/test_webhooks.py")


def readme_commands() -> list[str]:
    """Return the blocks of README.md that `.ci/readme.py` runs."""
    spec = importlib.util.spec_from_file_location("readme", ROOT / ".ci" / "readme.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [block for block in module.blocks_of((ROOT / "README.md").read_text("utf-8")) if module.is_followed(block)]


def runs_elsewhere(block: Block) -> list[str]:
    """Return who runs a command, other than this file."""
    claims = {
        "tests/compose": block.needs_engine,
        ".ci/readme.py": block.page == "README.md" and block.text in readme_commands(),
        ".ci/run": all(line.split("#")[0].strip() in RUN_BY_CI for line in block.text.splitlines()),
        ELSEWHERE.get(block.page, ""): block.page in ELSEWHERE and not block.needs_engine,
        SERVER[1]: (block.page, block.language) == (SERVER[0], "javascript"),
    }
    return [name for name, claimed in claims.items() if claimed]


COMMANDS_HERE = [block for block in blocks() if block.language in COMMANDS and not runs_elsewhere(block)]
PAGES_HERE = sorted({block.page for block in COMMANDS_HERE})


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3Server]:
    with S3Server(tmp_path / "s3") as server:
        yield server


@pytest.mark.parametrize("page", PAGES_HERE)
def test_the_commands_of_a_page_work(
    page: str, hub: HubServer, model_dir: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    # Given a hub that has the models that the page names, and the bucket
    page_blocks = [block for block in blocks() if block.page == page]
    commands = [block for block in page_blocks if block in COMMANDS_HERE]
    if any(block.language == "javascript" for block in commands):
        node()
    handles = {found for block in commands for found in re.findall(rf"{HUB}(\S+)", block.text)}
    for handle in handles:
        hub.add_model(handle, save_small_model(tmp_path / "hub", 1001))
    # When its commands are run, Then they work and print what is shown
    environ = request.getfixturevalue("s3").environ if any(MY_BUCKET in block.text for block in commands) else {}
    follow(page_blocks, commands, tmp_path / "repository", {HUB: hub.url, MY_BUCKET: f"s3://{BUCKET}"}, environ)
    # And the models were those of the hub
    assert handles <= set(hub.requests)


def test_no_command_is_run_twice() -> None:
    twice = [block for block in blocks() if block.language in COMMANDS and len(runs_elsewhere(block)) > 1]
    assert not twice


def test_every_block_says_what_it_is() -> None:
    known = {*COMMANDS, *ANSWERS, *OTHER_LANGUAGES}
    assert not [block for block in blocks() if block.language not in known]


def test_what_is_left_to_ci_is_in_it() -> None:
    ci, makefile = (ROOT / ".ci" / "run").read_text("utf-8"), (ROOT / "Makefile").read_text("utf-8")
    checked = re.search(r"^check: (.*?) ##", makefile, re.MULTILINE)
    assert checked
    run = {*re.findall(r"^(make [a-z-]+)$", ci, re.MULTILINE), *(f"make {target}" for target in checked[1].split())}
    assert set(RUN_BY_CI) <= run
    assert "python3 .ci/readme.py" in ci and "make compose-test" in run
    assert readme_commands()


def test_pages_with_tests_of_their_own_have_them() -> None:
    followed = {block.page for block in blocks() if block.language in COMMANDS}
    assert all(page in (ROOT / ELSEWHERE[page]).read_text("utf-8") for page in followed & set(ELSEWHERE))
