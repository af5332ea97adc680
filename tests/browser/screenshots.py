"""`python -m tests.browser.screenshots`: makes the pictures of the page and the command line in docs/pictures/."""

import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Browser, ViewportSize, expect, sync_playwright
from rich.console import Console
from rich.text import Text

from tests.browser.conftest import Desk
from tests.conftest import prepare
from tests.support.browser import MISSING, find_browser
from tests.support.command_line import COMMAND, ENVIRON
from tests.support.processes import RedisServer, Service
from tests.support.repository import ROOT

PICTURES = ROOT / "docs" / "pictures"
EXAMPLES = sorted((ROOT / "examples").glob("*.png"))
PAGE_SIZE: ViewportSize = {"width": 1000, "height": 740}
# Sharp on high-resolution screens, too.
SCALE = 2
# A table with a column for each label fits.
COLUMNS = 100
# Enough for the page and the example pictures; fewer colors make a smaller file.
COLORS = 128


def main() -> int:
    path = find_browser()
    if not path:
        print(MISSING, file=sys.stderr)
        return 1
    with TemporaryDirectory() as folder, _service(Path(folder)) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        take(browser, url, PICTURES)
        browser.close()
    return 0


def take(browser: Browser, url: str, folder: Path) -> None:
    """Write `page.png` and `command-line.svg` into the folder, from the service at this address."""
    folder.mkdir(parents=True, exist_ok=True)
    _picture_of_page(browser, url, folder / "page.png")
    _picture_of_command(url, folder / "command-line.svg")


@contextmanager
def _service(folder: Path) -> Iterator[str]:
    model = prepare("efficientnet_lite0")
    server = RedisServer(folder / "redis")
    service = Service(server.url, folder, model)
    try:
        service.start_api()
        service.start_worker()
        service.wait_ready()
        yield service.url
    finally:
        service.stop()
        server.kill()


def _picture_of_page(browser: Browser, url: str, file: Path) -> None:
    """Show the page with the labels of every example."""
    context = browser.new_context(
        viewport=PAGE_SIZE, device_scale_factor=SCALE, color_scheme="light", reduced_motion="reduce", locale="en-US"
    )
    desk = Desk(context, url)
    desk.open()
    desk.choose(*EXAMPLES)
    for example in EXAMPLES:
        expect(desk.card(example.name)).to_contain_text("%")
    desk.check()
    # No element is hovered, focused or scrolled away.
    desk.page.mouse.move(0, 0)
    desk.page.evaluate("scrollTo(0, 0); document.activeElement.blur()")
    png = desk.page.screenshot(animations="disabled")
    context.close()
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE).save(file, optimize=True)


def _picture_of_command(url: str, file: Path) -> None:
    """Run `topthree classify examples` in a terminal and draw what is left on the screen."""
    arguments = ["classify", "examples"]
    environ = {**os.environ, **ENVIRON, "TOPTHREE_URL": url, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    environ.pop("NO_COLOR", None)
    command = ["script", "--quiet", "--return", "--command", shlex.join([*COMMAND, *arguments]), os.devnull]
    shown = subprocess.run(command, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(f"[bold]$[/] topthree {shlex.join(arguments)}")
    # Of a line that was drawn again and again, such as a progress bar, the last state remains.
    console.print(Text.from_ansi(shown.stdout.decode().replace("\r\n", "\n").rstrip()))
    svg = console.export_svg(title="topthree", unique_id="terminal")
    # A picture within a page loads no fonts, and nobody should load them from another site.
    file.write_text(re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
