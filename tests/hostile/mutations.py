"""Damaged copies of valid pictures of every accepted format, always the same ones."""

import random
import struct
from collections.abc import Callable, Iterator

from shared.images.formats import FORMATS
from tests.hostile.case import Case, given
from tests.support.pictures import KINDS, TRAFFIC_LIGHT_HEIC, photograph

SEED = "topthree"
PILLOW_NAMES = {each.name: each.pillow for each in FORMATS}
# Where the damage of one in two mutations lies: in what readers of headers see.
HEADER_BYTES = 400
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def sources() -> dict[str, bytes]:
    """Return one small valid file of every kind."""
    picture = photograph("coffee.png").resize((96, 64))
    return {kind: make(picture) for kind, make in KINDS.items()} | {"HEIC": TRAFFIC_LIGHT_HEIC.read_bytes()}


def mutated(each: int) -> Iterator[Case]:
    """Yield so many damaged files of every kind."""
    files = sources()
    for kind, data in files.items():
        for number in range(each):
            yield Case(_format(kind), f"{kind}, mutation {number}", _mutation(files, kind, data, number))


def truncated(each: int) -> Iterator[Case]:
    """Yield every kind of file cut off at so many places, the first bytes among them."""
    for kind, data in sources().items():
        for number in range(each):
            length = number + 1 if number < each // 3 else len(data) * number // each
            yield Case(_format(kind), f"{kind}, {length} of {len(data)} bytes", given(data[:length]))


def _format(kind: str) -> str:
    return PILLOW_NAMES[kind.partition(",")[0]]


def _mutation(files: dict[str, bytes], kind: str, data: bytes, number: int) -> Callable[[], bytes]:
    def make() -> bytes:
        chance = random.Random(f"{SEED} {kind} {number}")
        changed = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 4, 16))):
            chance.choice(_MUTATIONS)(changed, chance, files)
        return bytes(changed)

    return make


def _place(data: bytearray, chance: random.Random) -> int:
    return chance.randrange(min(HEADER_BYTES, len(data)) if chance.random() < 0.5 else len(data)) if data else 0


def _flip(data: bytearray, chance: random.Random, _: dict[str, bytes]) -> None:
    if data:
        data[_place(data, chance)] ^= 1 << chance.randrange(8)


def _overwrite(data: bytearray, chance: random.Random, _: dict[str, bytes]) -> None:
    start = _place(data, chance)
    data[start : start + 8] = chance.randbytes(chance.randint(1, 8))


def _number(data: bytearray, chance: random.Random, _: dict[str, bytes]) -> None:
    """Lie about a length, a size or a count."""
    layout = chance.choice(("<H", ">H", "<I", ">I"))
    value = chance.choice(NUMBERS) & (0xFFFF if layout[1] == "H" else 0xFFFFFFFF)
    start = _place(data, chance)
    data[start : start + struct.calcsize(layout)] = struct.pack(layout, value)


def _remove(data: bytearray, chance: random.Random, _: dict[str, bytes]) -> None:
    start = _place(data, chance)
    del data[start : start + chance.randint(1, 64)]


def _repeat(data: bytearray, chance: random.Random, _: dict[str, bytes]) -> None:
    start = _place(data, chance)
    data[start:start] = data[start : start + chance.randint(1, 256)] * chance.randint(1, 20)


def _cut(data: bytearray, chance: random.Random, _: dict[str, bytes]) -> None:
    del data[_place(data, chance) :]


def _blank(data: bytearray, chance: random.Random, _: dict[str, bytes]) -> None:
    start, length = _place(data, chance), chance.randint(1, 128)
    data[start : start + length] = bytes([chance.choice((0, 0xFF))]) * length


def _graft(data: bytearray, chance: random.Random, files: dict[str, bytes]) -> None:
    """Go on with a piece of a file of another kind."""
    other = files[chance.choice(sorted(files))]
    start = chance.randrange(len(other))
    place = _place(data, chance)
    data[place : place + 512] = other[start : start + 512]


_MUTATIONS = (_flip, _flip, _overwrite, _number, _number, _remove, _repeat, _cut, _blank, _graft)
