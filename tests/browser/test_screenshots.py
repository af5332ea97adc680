"""`make screenshots` shows the product as it is."""

import html
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from tests.browser.screenshots import EXAMPLES, PICTURES, take
from tests.support.processes import Service

# The README loads both.
MAX_BYTES = 150_000


def test_the_pictures_show_the_labels_of_the_examples(browser: Browser, service: Service, tmp_path: Path) -> None:
    # When the pictures are taken
    take(browser, service.url, tmp_path)
    # Then the command line is shown as text, with a line for each example and without what moved the cursor
    shown = html.unescape((tmp_path / "command-line.svg").read_text("utf-8")).replace("\xa0", " ")
    assert "$" in shown and "topthree classify examples" in shown
    assert all(f"examples/{example.name}" in shown for example in EXAMPLES)
    assert "5 labelled" in shown and shown.count("classifying") == 1 and "?25" not in shown
    assert "@font-face" not in shown
    # And the page is a picture of many colors, small enough for a README
    with Image.open(tmp_path / "page.png") as page:
        assert page.size == (2000, 1480)
        assert len(page.getcolors() or []) > 32
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < MAX_BYTES
    # And the repository has both
    assert {file.name for file in tmp_path.iterdir()} <= {file.name for file in PICTURES.iterdir()}
