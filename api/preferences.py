"""The `Prefer` header (RFC 7240): whether and how long a client wants to wait."""

from dataclasses import dataclass, replace

from werkzeug.http import parse_list_header

# Proxies give up on an answer after 60 s by default; then the client would not learn the id.
MAX_WAIT_SECONDS = 55


@dataclass(frozen=True)
class Preferences:
    """The client's preferences; `wait_seconds` is None without a valid `wait`."""

    respond_async: bool
    wait_seconds: int | None

    @property
    def plain(self) -> bool:
        """Whether the client sent no preference: such a client takes any 2xx response for labels."""
        return self.wait_seconds is None and not self.respond_async

    def without_wait(self) -> "Preferences":
        """Return the preferences without `wait`, for a request without a free slot to wait."""
        return replace(self, wait_seconds=None)

    @property
    def applied(self) -> str:
        """The value of `Preference-Applied`, empty if no preference is honored."""
        parts = ["respond-async"] if self.respond_async else []
        if self.wait_seconds is not None:
            parts.append(f"wait={self.wait_seconds}")
        return ", ".join(parts)


def parse_preferences(header: str) -> Preferences:
    """Parse a `Prefer` header; unknown and malformed preferences are ignored, as the RFC requires.

    `wait` is limited to MAX_WAIT_SECONDS. If a preference is repeated, the first one counts.
    """
    given: dict[str, str] = {}
    for item in parse_list_header(header):
        name, _, value = item.split(";")[0].partition("=")
        given.setdefault(name.strip().lower(), value.strip().strip('"'))
    wait = given.get("wait", "")
    return Preferences(
        respond_async="respond-async" in given,
        wait_seconds=_cut(wait) if wait.isascii() and wait.isdigit() else None,
    )


def _cut(digits: str) -> int:
    # int() raises ValueError for numbers with thousands of digits.
    return min(int(digits.lstrip("0")[:9] or "0"), MAX_WAIT_SECONDS)
