"""A real Chromium before the real service, under the policy that the page is served with."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, FileChooser, Locator, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as NoChooser

from tests.support.browser import MISSING, find_browser
from tests.support.processes import RedisServer, Service
from tests.support.repository import ROOT
from tests.support.stub_worker import make_picture

Save = Callable[..., Path]

SCREENSHOTS = ROOT / "artifacts" / "page"
NOTE_VIOLATIONS = """
  window.violations = [];
  addEventListener("securitypolicyviolation", ({violatedDirective, blockedURI}) => {
    violations.push(`${violatedDirective} ${blockedURI}`);
  });
"""
expect.set_options(timeout=30_000)
# On a busy machine Chromium has once told of no chooser after a key press, though not in 225 tries made for it.
PRESSES = 3
CHOOSER_MS = 10_000


class Desk:
    """The page as a person uses it."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page: Page = context.new_page()
        self.url = url
        self.errors: list[str] = []
        self.page.add_init_script(NOTE_VIOLATIONS)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        # From now on: a chooser that a key press opens would be there before the test's own listener.
        self.page.on("filechooser", lambda _: None)

    def open(self) -> None:
        self.page.goto(self.url)
        expect(self.page.get_by_role("button", name="Choose pictures")).to_be_visible()

    def choose(self, *files: Path) -> None:
        self.chooser(self.page.get_by_role("button", name="Choose pictures").click).set_files(list(files))

    def chooser(self, press: Callable[[], None]) -> FileChooser:
        """Return the file chooser that `press` opens, at the latest when it is done for the third time."""
        for _ in range(PRESSES):
            try:
                with self.page.expect_file_chooser(timeout=CHOOSER_MS) as chooser:
                    press()
                return chooser.value
            except NoChooser:
                pass
        raise AssertionError("no file chooser was opened")

    def drop(self, *files: Path) -> None:
        """Drop files as the operating system would."""
        session = self.page.context.new_cdp_session(self.page)
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 400, "data": data})

    def paste(self, png: bytes) -> None:
        """Put a picture on the clipboard and press Ctrl-V."""
        self.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.page.evaluate(
            """async (data) => {
                const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
                const picture = new Blob([bytes], {type: "image/png"});
                await navigator.clipboard.write([new ClipboardItem({"image/png": picture})]);
            }""",
            base64.b64encode(png).decode(),
        )
        self.page.keyboard.press("Control+V")

    def card(self, name: str) -> Locator:
        """The card of the picture with this name."""
        return self.page.locator(".card").filter(has=self.page.get_by_role("heading", name=name, exact=True))

    def button(self, word: str, name: str) -> Locator:
        return self.page.get_by_role("button", name=f"{word} {name}", exact=True)

    def cards(self, state: str) -> Locator:
        return self.page.locator(f".card[data-state={state}]")

    def remembered(self) -> list[dict[str, Any]]:
        """What the browser would show after a reload."""
        items = self.page.evaluate("Object.entries(localStorage)")
        return [json.loads(value) for name, value in items if name.startswith("topthree:")]

    def violations(self) -> list[str]:
        """What axe finds wrong with the page, in words."""
        found = Axe().run(self.page).response["violations"]
        return [f"{each['id']}: {each['help']} {[node['html'] for node in each['nodes']]}" for each in found]

    def screenshot(self, name: str) -> None:
        """Keep what is seen for whoever changes the page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def check(self) -> None:
        """No script has failed and the policy was never violated."""
        assert self.errors == []
        assert self.page.evaluate("window.violations") == []


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = find_browser()
    assert path, MISSING
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture
def open_desk(browser: Browser) -> Iterator[Callable[..., Desk]]:
    """Opens the page of a service in a browser that knows nothing yet."""
    contexts: list[BrowserContext] = []
    desks: list[Desk] = []

    def open_(url: str, **options: Any) -> Desk:
        contexts.append(browser.new_context(**options))
        desks.append(Desk(contexts[-1], url))
        desks[-1].open()
        return desks[-1]

    yield open_
    try:
        for desk in desks:
            desk.check()
    finally:
        for context in contexts:
            context.close()


@contextmanager
def stub_service(folder: Path, **settings: str) -> Iterator[Service]:
    """A service of its own whose worker does what the pictures say (tests/support/stub_worker.py)."""
    server = RedisServer(folder / "redis")
    # Long enough for what a test does while a picture runs, on a busy machine too.
    service = Service(server.url, folder, folder, JOB_TIME_LIMIT_SECONDS="120", **settings)
    try:
        service.start_api()
        service.start_worker("tests.support.stub_worker", STUB_EXECUTIONS=str(folder / "executions"))
        service.wait_ready()
        yield service
    finally:
        service.stop()
        server.kill()


@pytest.fixture
def stubbed(tmp_path: Path) -> Iterator[Service]:
    with stub_service(tmp_path) as service:
        yield service


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that is not there yet: a picture saved with `until=` it runs until it is."""
    return tmp_path / "gate"


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a picture that does what it is told, and returns the file."""

    def save_(name: str, behaviour: str = "", side: int = 8) -> Path:
        file = tmp_path / name
        file.write_bytes(make_picture(behaviour, side=side))
        return file

    return save_
