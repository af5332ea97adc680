"""Every link between the pages of the documentation leads somewhere."""

import re
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.support.documentation import pages
from tests.support.repository import ROOT

# Those that tell of the past, too: their links are of today.
LINKED_FROM = [*pages(), ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/decisions/*.md"))]
# Pages of the service that runs.
SERVICE = "127.0.0.1"


def inline(page: Path) -> list[Token]:
    tokens = MarkdownIt().enable("table").parse(page.read_text("utf-8"))
    return [child for token in tokens for child in token.children or []]


def links(page: Path) -> list[str]:
    return [str(token.attrs["href"]) for token in inline(page) if token.type == "link_open"]


def images(page: Path) -> list[Token]:
    return [token for token in inline(page) if token.type == "image"]


def anchors(page: Path) -> set[str]:
    """Return the names that GitHub gives to the headings of a page."""
    tokens = MarkdownIt().parse(page.read_text("utf-8"))
    headings = [after for token, after in pairwise(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", _words(heading).lower()).replace(" ", "-") for heading in headings}


def _words(heading: Token) -> str:
    return "".join(child.content for child in heading.children or [])


@pytest.mark.parametrize("page", LINKED_FROM, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme == "https" or parts.hostname == SERVICE, link
            continue
        target = (page.parent / parts.path) if parts.path else page
        assert target.exists(), link
        assert not parts.fragment or parts.fragment in anchors(target), link


@pytest.mark.parametrize("page", LINKED_FROM, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_image_of_a_page_is_in_the_repository_and_described(page: Path) -> None:
    for image in images(page):
        assert (page.parent / str(image.attrs["src"])).is_file(), image.attrs["src"]
        # People who cannot see it read this text.
        assert len(image.content.split()) > 3, image.attrs["src"]


def test_every_page_can_be_reached_from_the_first() -> None:
    found, todo = set[Path](), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in found:
            continue
        found.add(page)
        targets = [urlsplit(link) for link in links(page)]
        todo += [(page.parent / to.path).resolve() for to in targets if not to.scheme and to.path.endswith(".md")]
    # Who looks for these looks where every project has them.
    assert set(pages()) - found <= {ROOT / "CONTRIBUTING.md", ROOT / "client" / "README.md"}
