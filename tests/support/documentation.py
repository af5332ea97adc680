"""The code blocks of the documentation for users, with which of the tests runs them."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt

from tests.support.repository import ROOT

# docs/decisions/ tells of the past: nobody follows it.
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "client/README.md", "docs/*.md", "docs/how-to/*.md")


@dataclass(frozen=True)
class Block:
    """A fenced block: its page relative to the root, its first line, its language and its text."""

    page: str
    line: int
    language: str
    text: str

    @property
    def needs_engine(self) -> bool:
        """Whether it is a command for a Docker engine: `tests/compose` runs those, `tests/guides` all others."""
        return self.language == "sh" and "docker " in self.text


@cache
def blocks() -> list[Block]:
    """Return every fenced block of every page, in order; those within lists too."""
    return [block for page in pages() for block in _blocks_of(page)]


def pages() -> list[Path]:
    """Return every page for users."""
    return [path for pattern in PAGES for path in sorted(ROOT.glob(pattern))]


def _blocks_of(page: Path) -> list[Block]:
    return [
        Block(str(page.relative_to(ROOT)), token.map[0] + 1, token.info.strip(), token.content)
        for token in MarkdownIt().parse(page.read_text("utf-8"))
        if token.type == "fence" and token.map
    ]
