"""Somebody who follows the documentation on a Docker engine: in a copy of the repository, as a project of his own."""

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from deploy.local.embedded_redis import free_port
from tests.support.commands import output
from tests.support.docker import Engine, Stack
from tests.support.documentation import Block, blocks
from tests.support.repository import copy_repository

BLOCK_SECONDS = 900
# A block that is no command and begins with such a line is the file of that name.
FILE_NAME = re.compile(r"# ([\w./-]+\.(?:yml|env))\n")
# What stands in the documentation as the name of the project, and as the ports of its services.
PROJECT = re.compile(r"\btopthree(?=-(?:api|worker)\b|_\w+-data\b)")
PORTS = {"5000": "PORT", "3000": "GRAFANA_PORT", "9090": "PROMETHEUS_PORT", "5555": "FLOWER_PORT"}
# What cannot be run as it stands.
GPU = "--profile gpu"
MONITORING = "--profile monitoring"


@dataclass(frozen=True)
class Step:
    """What a test does before or after the block with this part."""

    when: Literal["before", "after"]
    part: str
    action: Callable[[], object]


class Reader:
    """Runs blocks of a page, each in a shell of its own; leaves nothing behind."""

    def __init__(self, engine: Engine, folder: Path, *files: str, **environ: str) -> None:
        """`files` are those that the page lays over docker-compose.yml."""
        copy_repository(folder)
        self.stack = Stack(engine, *files, root=folder, **environ)
        # The ports that pages name for other hosts.
        self._redis_port = str(free_port())

    def __enter__(self) -> "Reader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error:
            error.add_note(self.stack.call("ps", "--all").stdout)
            error.add_note(self.stack.call("logs", "--no-color", "--tail", "100").stdout)
        self.stack.down()
        # Images that a page saves are large.
        shutil.rmtree(self.stack.root)

    def follow_page(
        self, page: str, steps: Sequence[Step] = (), elsewhere: "Mapping[str, Reader] | None" = None
    ) -> None:
        """Run every command of the page that needs an engine, in order, and write the files that it shows.

        Each step is done once, before or after the first block that its part is in. Blocks that a part of `elsewhere`
        is in are followed by that reader, on another host.
        """
        todo = list(steps)
        for block in [block for block in blocks() if block.page == page]:
            _do(todo, "before", block)
            for reader in _hosts(self, elsewhere or {}, block):
                reader.follow(block)
            _do(todo, "after", block)
        assert not todo, f"{page} has no command for {[step.part for step in todo]}"

    def follow(self, block: Block) -> str:
        """Return what the block prints if it is a command for an engine; write it if it is a file."""
        named = FILE_NAME.match(block.text)
        if block.needs_engine:
            return self._run(block)
        if named:
            (self.stack.root / named[1]).write_text(self._own(block.text), "utf-8")
        return ""

    def _run(self, block: Block) -> str:
        environ = self.stack.engine.environ | self.stack.environ
        # Its name for the shell, which is what tells where a command that fails stands.
        command = ["bash", "-ec", self._own(block.text), f"{block.page}:{block.line}"]
        return output(command, environ, BLOCK_SECONDS, self.stack.root)

    def _own(self, text: str) -> str:
        """Return the text with the names and ports of this project, and services that do not hold the terminal."""
        text = PROJECT.sub(self.stack.project, text).replace('"6380:6380"', f'"{self._redis_port}:6380"')
        for port, name in PORTS.items():
            text = re.sub(rf"(127\.0\.0\.1|localhost):{port}\b", rf"\1:{self.stack.environ[name]}", text)
        first = int(self.stack.environ["PORT"])
        text = text.replace("PORT=5000-5001", f"PORT={first}-{first + 1}")
        if MONITORING in text and self.stack.engine.tool:
            # There is no stand-in for Grafana: the others are brought up.
            text = text.replace(" --wait\n", " --wait api worker redis prometheus flower\n")
        return "".join(_in_background(line) for line in text.splitlines(keepends=True))


def _in_background(line: str) -> str:
    if GPU in line:
        # It takes a card, and an image of several gigabytes: that compose accepts it all is what is checked instead.
        return re.sub(r" up\b.*", " config --quiet", line)
    if re.search(r"docker compose .*\bup\b", line) and "--detach" not in line:
        return re.sub(r" up\b", " up --detach --wait", line, count=1)
    return line


def _hosts(here: Reader, elsewhere: Mapping[str, Reader], block: Block) -> list[Reader]:
    """Return who follows a block; files are for everybody."""
    if not block.needs_engine:
        return [here, *elsewhere.values()]
    return [reader for part, reader in elsewhere.items() if part in block.text] or [here]


def _do(todo: list[Step], when: str, block: Block) -> None:
    for step in [step for step in todo if step.when == when and step.part in block.text and block.needs_engine]:
        todo.remove(step)
        step.action()
