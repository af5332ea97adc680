"""Pictures are resized as Pillow does it, with SIMD instructions or without."""

import sys
from importlib import reload

import numpy as np
import pytest
from PIL import Image

from tests.support.pictures import PHOTOGRAPHS, photograph
from worker.decoding import resize as module
from worker.decoding.resize import REDUCING_GAP, resize

TARGET = (224, 200)
# Small, large, odd, high, wide: each is reduced by other factors first, or enlarged, and filtered in another order.
SIZES = [(1, 1), (3, 500), (512, 512), (961, 541), (540, 960), (1920, 1080), (4001, 3003), (9000, 40)]


def by_pillow(image: Image.Image) -> Image.Image:
    return image.resize(TARGET, Image.Resampling.BICUBIC, reducing_gap=REDUCING_GAP)


def difference(one: Image.Image, other: Image.Image) -> int:
    """Return the largest difference of two samples in levels."""
    assert (one.mode, one.size) == (other.mode, other.size)
    return int(np.max(np.abs(np.asarray(one, dtype=int) - np.asarray(other, dtype=int))))


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_differ_from_pillows_by_two_levels_at_most(name: str, mode: str) -> None:
    image = photograph(name).convert(mode)
    assert difference(resize(image, *TARGET), by_pillow(image)) <= 2


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pictures_of_every_size_differ_by_two_levels_at_most(size: tuple[int, int]) -> None:
    image = Image.effect_noise(size, 80).convert("RGB")
    assert difference(resize(image, *TARGET), by_pillow(image)) <= 2


@pytest.mark.parametrize("mode", ["RGBA", "CMYK", "F"])
def test_other_modes_are_resized_by_pillow(mode: str) -> None:
    image = photograph("coffee.png").convert(mode)
    assert np.array_equal(np.asarray(resize(image, *TARGET)), np.asarray(by_pillow(image)))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_without_the_library_pillow_resizes(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    # Given a machine for which there is no wheel
    monkeypatch.setitem(sys.modules, "cykooz_resizer", None)
    alone = reload(module)
    try:
        # When a picture is resized, Then the result is Pillow's
        image = Image.effect_noise(size, 80).convert("RGB")
        assert difference(alone.resize(image, *TARGET), by_pillow(image)) == 0
    finally:
        monkeypatch.undo()
        reload(module)
