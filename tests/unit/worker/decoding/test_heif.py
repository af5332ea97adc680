"""HEIC and AVIF files of many items: a missing part is an error, and the boxes may be of any form, or hostile."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.errors import UndecodablePicture, UnsupportedPicture
from shared.images.inspect import set_up_pillow
from tests.support.cpu_time import least_cpu_seconds
from tests.support.heif import (
    Item,
    Reference,
    alpha_box,
    box,
    coded_av1,
    coded_hevc,
    extent_box,
    full_box,
    grid,
    heif_file,
    overlay,
)
from tests.support.pictures import TRAFFIC_LIGHT_HEIC, photograph
from worker.decoding.decode import decode_pixels
from worker.decoding.heif import HeifContainer

HEVC, AV1 = coded_hevc(), coded_av1(photograph("coffee.png").resize((128, 128)))
DEPTH = full_box(b"auxC", 0, 0, b"urn:mpeg:hevc:2015:auxid:2\0")

HEICS = {
    "a grid": grid(HEVC, 2, 2),
    "a grid in the idat box": grid(HEVC, 2, 2, in_idat=True),
    "a grid of tiles in three pieces": grid(HEVC, 2, 2, pieces=3),
    "an overlay": overlay(HEVC),
    "one picture": heif_file(b"hvc1", [HEVC.item()]),
    "one picture in three pieces": heif_file(b"hvc1", [HEVC.item(pieces=3)]),
    "an identity": heif_file(
        b"hvc1", [Item(b"iden", b"", (extent_box(320, 320),)), HEVC.item()], [Reference(b"dimg", 1, (2,))]
    ),
    "an alpha plane": heif_file(b"hvc1", [HEVC.item(), HEVC.item(alpha_box())], [Reference(b"auxl", 2, (1,))]),
    "a file of an encoder": TRAFFIC_LIGHT_HEIC.read_bytes(),
}
AVIFS = {
    "a grid of AV1": grid(AV1, 2, 2),
    "a grid of AV1 in the idat box": grid(AV1, 2, 2, in_idat=True),
    "AV1 in three pieces": heif_file(b"av01", [AV1.item(pieces=3)]),
}


@pytest.fixture(autouse=True)
def _pillow() -> None:
    # pytest turns warnings into errors before every test, after the session's own set-up.
    set_up_pillow()


@pytest.mark.parametrize("data", (HEICS | AVIFS).values(), ids=(HEICS | AVIFS).keys())
def test_a_whole_file_is_decoded(data: bytes) -> None:
    assert decode_pixels(data, 64, 64).std() > 10
    HeifContainer.read(data).check_complete()


@pytest.mark.parametrize("share", [0.999, 0.95, 0.8, 0.6, 0.4, 0.25])
@pytest.mark.parametrize("data", HEICS.values(), ids=HEICS.keys())
def test_a_cut_off_heic_is_refused(data: bytes, share: float) -> None:
    # Given a file that is cut off anywhere after its list of items
    start = data.index(b"mdat") + 4
    cut = data[: start + int(share * (len(data) - start))]
    # When it is decoded, Then that is an error, and no picture with green tiles
    with pytest.raises(UndecodablePicture, match=r"^The picture cannot be decoded: "):
        decode_pixels(cut, 64, 64)


@pytest.mark.parametrize("share", [0.999, 0.95, 0.8, 0.6, 0.4, 0.25])
@pytest.mark.parametrize("data", AVIFS.values(), ids=AVIFS.keys())
def test_a_cut_off_avif_is_refused(data: bytes, share: float) -> None:
    with pytest.raises((UndecodablePicture, UnsupportedPicture)):
        decode_pixels(data[: int(share * len(data))], 64, 64)


@pytest.mark.parametrize("missing", [200, 3000, 6000, 14000])
def test_a_heic_whose_end_is_not_filled_in_is_refused(missing: int) -> None:
    # Given a file of full length whose last bytes, or tiles, are zeros
    data = HEICS["a grid"]
    with pytest.raises(UndecodablePicture, match="parts of its data are missing"):
        decode_pixels(data[:-missing] + bytes(missing), 64, 64)


def test_tiles_of_an_alpha_plane_count() -> None:
    # Given a picture whose alpha plane is a grid, cut off in its last tile: libheif would make it transparent there
    head = struct.pack(">BBBBHH", 0, 0, 0, 1, 640, 320)
    items = [
        Item(b"grid", head, (extent_box(640, 320),)),
        HEVC.item(),
        HEVC.item(),
        Item(b"grid", head, (extent_box(640, 320), alpha_box())),
        HEVC.item(),
        HEVC.item(),
    ]
    references = [Reference(b"dimg", 1, (2, 3)), Reference(b"dimg", 4, (5, 6)), Reference(b"auxl", 4, (1,))]
    data = heif_file(b"hvc1", items, references)
    decode_pixels(data, 64, 64)
    with pytest.raises(UndecodablePicture, match="parts of its data are missing"):
        decode_pixels(data[:-100], 64, 64)


@pytest.mark.parametrize(
    ("unseen", "references"),
    [(HEVC.item(DEPTH), [Reference(b"auxl", 2, (1,))]), (HEVC.item(), [])],
    ids=["a depth map", "another picture"],
)
def test_what_is_not_shown_may_be_cut_off(unseen: Item, references: list[Reference]) -> None:
    # Given a whole picture, followed by something else that is cut off
    data = heif_file(b"hvc1", [HEVC.item(), unseen], references)
    # When it is decoded, Then it is the picture
    assert np.array_equal(decode_pixels(data[:-100], 64, 64), decode_pixels(HEICS["one picture"], 64, 64))


def test_a_grid_with_a_tile_that_has_no_data_is_refused() -> None:
    head = struct.pack(">BBBBHH", 0, 0, 0, 1, 640, 320)
    items = [Item(b"grid", head, (extent_box(640, 320),)), HEVC.item(), HEVC.item(pieces=3)]
    data = heif_file(b"hvc1", items, [Reference(b"dimg", 1, (2, 3))])
    # Given a count of 0 for the extents of the last tile; they become unknown bytes after the list
    start = data.index(b"iloc") + 4 + 4 + 4 + 2 * 16
    broken = data[: start + 6] + bytes(2) + data[start + 8 :]
    with pytest.raises(UndecodablePicture):
        decode_pixels(broken, 64, 64)


def test_pieces_that_overlap_are_not_all_read() -> None:
    # Given a picture that is made of a thousand pieces, each of which is nearly the whole file of some megabytes
    item = Item(b"hvc1", bytes(range(1, 256)) * 16_000, HEVC.item().properties, pieces=1000)
    data = bytearray(heif_file(b"hvc1", [item]))
    start = data.index(b"iloc") + 4 + 4 + 4 + 8
    for number in range(1000):
        struct.pack_into(">II", data, start + 8 * number, number, 4_000_000)

    # When it is checked
    def check() -> None:
        with pytest.raises(ValueError, match="missing"):
            HeifContainer.read(bytes(data)).check_complete()

    # Then it is refused in little time
    assert least_cpu_seconds(check) < 1


def test_tiles_may_share_their_data() -> None:
    # Given two tiles that are one piece of data
    head = struct.pack(">BBBBHH", 0, 0, 0, 1, 640, 320)
    items = [Item(b"grid", head, (extent_box(640, 320),)), HEVC.item()]
    data = heif_file(b"hvc1", items, [Reference(b"dimg", 1, (2, 2))])
    # When they are checked, Then nothing is missing
    HeifContainer.read(data).check_complete()


def test_items_that_refer_to_each_other_end() -> None:
    # Given identities of each other
    items = [Item(b"iden", b"", (extent_box(320, 320),)), Item(b"iden", b"", (extent_box(320, 320),))]
    data = heif_file(b"hvc1", items, [Reference(b"dimg", 1, (2,)), Reference(b"dimg", 2, (1,))])
    # When they are checked, Then that has an end, and there is no picture
    HeifContainer.read(data).check_complete()
    with pytest.raises((UndecodablePicture, UnsupportedPicture)):
        decode_pixels(data, 64, 64)


def test_a_file_without_items_lacks_nothing() -> None:
    # Given the boxes of a film
    container = HeifContainer.read(box(b"ftyp", b"avis", bytes(4)) + box(b"moov", bytes(100)))
    # When they are read, Then nothing is missing, and the colors are unknown
    container.check_complete()
    assert container.code_points() is None


HOSTILE = {
    "four billion items": full_box(b"iloc", 2, 0, struct.pack(">HI", 0x4400, 2**32 - 1)),
    "items of no size": full_box(b"iloc", 1, 0, struct.pack(">HH", 0, 65535), bytes(8 * 65535)),
    "extents of no size": full_box(b"iloc", 0, 0, struct.pack(">HH", 0, 100), struct.pack(">HHH", 1, 0, 65535) * 100),
    "references": full_box(b"iref", 0, 0, box(b"dimg", struct.pack(">HH", 1, 65535), bytes(2 * 65535)) * 100),
    "properties": box(b"iprp", full_box(b"ipma", 0, 1, struct.pack(">I", 10**6), bytes(3 * 10**6))),
    "boxes": box(b"iprp", box(b"ipco", box(b"ispe") * 10**6)),
}


@pytest.mark.parametrize("inside", HOSTILE.values(), ids=HOSTILE.keys())
def test_endless_lists_are_refused(inside: bytes) -> None:
    # Given a list of more parts than any real file has
    data = box(b"ftyp", b"heic", bytes(4)) + full_box(b"meta", 0, 0, inside)
    # When it is read, Then it is refused
    with pytest.raises(ValueError, match=r"damaged|too many parts"):
        HeifContainer.read(data)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(sorted(HEICS)),
    changes=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_damaged_boxes_are_read_or_refused(kind: str, changes: list[tuple[int, int]]) -> None:
    # Given a file with wrong bytes in its boxes
    data = bytearray(HEICS[kind])
    for place, value in changes:
        data[place % len(data)] = value
    # When it is read, Then there is an answer or the one error
    try:
        container = HeifContainer.read(bytes(data))
        container.code_points()
        container.check_complete()
    except ValueError as error:
        outcome = str(error)
    else:
        outcome = "whole"
    assert outcome in (
        "whole",
        "the list of its parts is damaged",
        "it has too many parts",
        "parts of its data are missing; send the complete file",
    )


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("place", ["EXIF", "XMP"])
def test_heic_is_turned_by_its_container_only(orientation: int, place: str) -> None:
    # Given a HEIC that is not turned by its container, with metadata that say otherwise
    exif = b"\0\0\0\x06Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes((orientation, 0, 0, 0)) + bytes(4)
    xmp = b'<x:xmpmeta xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="%d"/>' % orientation
    metadata = Item(b"Exif", exif) if place == "EXIF" else Item(b"mime", xmp)
    data = heif_file(b"hvc1", [HEVC.item(), metadata], [Reference(b"cdsc", 2, (1,))])
    # When it is decoded, Then it is as without them
    assert np.array_equal(decode_pixels(data, 48, 64), decode_pixels(HEICS["one picture"], 48, 64))


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_heic_and_avif_are_turned_by_their_containers(turns: int) -> None:
    for coded, plain in ((HEVC, HEICS["one picture"]), (AV1, AVIFS["AV1 in three pieces"])):
        data = heif_file(coded.kind, [coded.item(box(b"irot", bytes((turns,))))])
        upright = Image.fromarray(decode_pixels(plain, 64, 64)).rotate(90 * turns)
        difference = decode_pixels(data, 64, 64).astype(int) - np.asarray(upright)
        assert np.abs(difference).max() <= 4
