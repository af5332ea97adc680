"""A page of the documentation whose commands are run in one shell, as by somebody who pastes one after the other."""

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.local.embedded_redis import free_port
from tests.support.documentation import ROOT, Block, blocks, copy_repository

PRELUDE = ROOT / "tests" / "support" / "page.bash"
READY_SECONDS = 120
PAGE_SECONDS = 400
ADDRESS = "127.0.0.1:5000"
HUB = "https://tfhub.dev"
# The id of a job in an example; each page shows those of one job.
SHOWN_ID = re.compile(r"/result/([0-9a-f]{32})\b")
NEXT = "\x1e"


@dataclass(frozen=True)
class Ran:
    """A block that was run, and what it printed."""

    block: Block
    output: str


class Page:
    """Runs the blocks of a page that need no Docker engine, in a copy of the repository, with a service of its own."""

    def __init__(self, name: str, folder: Path, model_dir: Path, hub_url: str) -> None:
        """The service has the prepared model in `model_dir`; TF-Hub is what stands at `hub_url`."""
        self._blocks = [block for block in blocks() if block.page == name]
        self._folder = folder
        self._hub_url = hub_url
        self._port = free_port()
        copy_repository(folder / "topthree")
        (folder / "topthree" / ".venv").symlink_to(ROOT / ".venv")
        (folder / "topthree" / "models").mkdir()
        (folder / "topthree" / "models" / model_dir.name).symlink_to(model_dir)

    def run(self) -> list[Ran]:
        """Run the page; return what its blocks printed. AssertionError with all of it if one fails."""
        runnable = [block for block in self._blocks if block.runs_alone]
        shell = subprocess.Popen(
            ["bash", "-c", "\n".join([f". {shlex.quote(str(PRELUDE))}", "make run", *map(self._script, runnable)])],
            cwd=self._folder / "topthree",
            env=self._environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        try:
            printed, told = shell.communicate(timeout=PAGE_SECONDS)
        except subprocess.TimeoutExpired:
            # Its trap stops the service.
            shell.terminate()
            printed, told = shell.communicate()
            raise AssertionError(f"The page takes longer than {PAGE_SECONDS} s:\n{printed}\n{told}") from None
        outputs = printed.split(NEXT)[1:]
        assert shell.returncode == 0, f"{runnable[len(outputs) - 1]}\n{printed}\n{told}"
        return [Ran(block, output) for block, output in zip(runnable, outputs, strict=True)]

    def shown_after(self, block: Block) -> Block | None:
        """Return the block that shows what this one prints, if there is one."""
        following = self._blocks[self._blocks.index(block) + 1 :][:1]
        return following[0] if following and following[0].language in ("json", "http") else None

    def _script(self, block: Block) -> str:
        text = block.text.replace(ADDRESS, f"127.0.0.1:{self._port}").replace(HUB, self._hub_url)
        if block.language == "python":
            text = f"python3 <<'END_OF_BLOCK'\n{text}END_OF_BLOCK\n"
        # The job that was made last stands for the one that is shown.
        text = SHOWN_ID.sub("/result/$last_id", text)
        # In braces, not in a pipe: variables stay.
        return f"printf '{NEXT}'\n{{\n{text}}} >\"$PRINTED\"\nshow\n"

    def _environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
            "PORT": str(self._port),
            "TOPTHREE_URL": f"http://127.0.0.1:{self._port}",
            "MODEL": "efficientnet_lite0",
            "WORKERS": "1",
            "SERVICE_LOG": str(self._folder / "service.log"),
            "READY_SECONDS": str(READY_SECONDS),
            "PRINTED": str(self._folder / "printed"),
            "FRESH_VENV": str(self._folder / "fresh"),
        }
