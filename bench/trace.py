"""A trace: in which order pictures are sent, as prebuilt bytes, and which of them come again."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# A JPEG comment behind the start marker; what it says makes the bytes unlike any other's, pixels stay the same.
_COMMENT = b"\xff\xd8\xff\xfe\x00\x0e%012d"
BOUNDARY = b"------------------------d74496d66958873e"


@dataclass(frozen=True)
class Item:
    """One request: the parts of its bytes, and the label it must get."""

    parts: tuple[bytes, ...]
    label: str


class Trace:
    """Builds requests as curl does, each picture with a serial number of its own."""

    def __init__(self, pictures: list[list[str]], head: str, form_field: str, seed: int, repeats: float) -> None:
        """`pictures` are pairs of path and label; `form_field` "" sends raw bodies; `repeats` is a share."""
        self._pictures = [(Path(path).read_bytes()[2:], label) for path, label in pictures]
        self._head = head
        self._opening, self._closing = _envelope(form_field)
        self._random = random.Random(seed)
        self._first_serial = self._random.randrange(10**11)
        self._repeats = repeats
        self._sent = 0

    def __iter__(self) -> Iterator[Item]:
        order: list[int] = []
        while True:
            if not order:
                order = self._random.sample(range(len(self._pictures)), len(self._pictures))
            yield self._next(order)

    def _next(self, order: list[int]) -> Item:
        if self._sent and self._random.random() < self._repeats:
            # Zipf: the picture that came first is asked for most often.
            rank = int(self._sent ** self._random.random())
            return self._item(rank - 1, (rank - 1) * 7919 % len(self._pictures))
        serial = self._sent
        self._sent += 1
        # With repeats a serial must lead back to its picture.
        return self._item(serial, serial * 7919 % len(self._pictures) if self._repeats else order.pop())

    def _item(self, serial: int, index: int) -> Item:
        data, label = self._pictures[index]
        comment = _COMMENT % (self._first_serial + serial)
        length = len(self._opening) + len(comment) + len(data) + len(self._closing)
        head = self._head.replace("%d", str(length)).encode() + self._opening + comment
        return Item((head, data, self._closing) if self._closing else (head, data), label)


def _envelope(form_field: str) -> tuple[bytes, bytes]:
    if not form_field:
        return b"", b""
    disposition = f'Content-Disposition: form-data; name="{form_field}"; filename="picture.jpg"'.encode()
    opening = b"--" + BOUNDARY + b"\r\n" + disposition + b"\r\nContent-Type: image/jpeg\r\n\r\n"
    return opening, b"\r\n--" + BOUNDARY + b"--\r\n"


def request_head(port: int, path: str, form_field: str, headers: str = "") -> str:
    """Return the head of a POST with `%d` for the length of its body; `headers` are whole lines."""
    kind = f"multipart/form-data; boundary={BOUNDARY.decode()}" if form_field else "image/jpeg"
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: bench\r\nAccept: */*\r\n"
        f"{headers}Content-Length: %d\r\nContent-Type: {kind}\r\n\r\n"
    )
