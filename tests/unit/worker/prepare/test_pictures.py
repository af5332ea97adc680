"""Which photographs a model is calibrated with, and which it is checked with."""

from pathlib import Path

import pytest
from PIL import Image

from tests.support.pictures import encode
from worker.prepare.errors import PrepareError
from worker.prepare.pictures import find_pictures, read_pictures


def folder_of(folder: Path, count: int) -> Path:
    (folder / "deep").mkdir(parents=True)
    for number in range(count):
        (folder / "deep" / f"{number:05}.jpg").write_bytes(b"%d" % number)
    (folder / "README.md").write_text("photographs")
    return folder


@pytest.mark.parametrize(("count", "calibration", "others"), [(20, 10, 10), (151, 76, 75), (900, 100, 800)])
def test_no_picture_is_used_for_both(tmp_path: Path, count: int, calibration: int, others: int) -> None:
    pictures = find_pictures(folder_of(tmp_path / "photos", count))

    assert (len(pictures.calibration), len(pictures.others)) == (calibration, others)
    assert not set(pictures.calibration) & set(pictures.others)


def test_of_very_many_pictures_some_are_chosen_evenly(tmp_path: Path) -> None:
    pictures = find_pictures(folder_of(tmp_path / "photos", 2500))

    assert (len(pictures.calibration), len(pictures.others)) == (93, 741)
    assert max(pictures.calibration).stem > "02400" and max(pictures.others).stem > "02400"


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    first = find_pictures(folder_of(tmp_path / "here", 20))
    second = find_pictures(folder_of(tmp_path / "there", 20))
    assert first.digest == second.digest

    second.calibration[3].write_bytes(b"another")
    assert first.digest != second.digest


def test_too_few_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match=r"CALIBRATION_IMAGES=.* holds 19 pictures; at least 20 are needed"):
        find_pictures(folder_of(tmp_path / "photos", 19))
    with pytest.raises(PrepareError, match="is not a folder"):
        find_pictures(tmp_path / "photos" / "README.md")


def test_twenty_photographs_are_the_default() -> None:
    pictures = find_pictures(None)

    assert (len(pictures.calibration), len(pictures.others)) == (10, 10)
    assert len(list(read_pictures(pictures.others, 224, 224))) == 10


def test_undecodable_pictures_are_reported_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "good.png").write_bytes(encode(Image.new("RGB", (20, 10), "red"), "PNG"))
    (tmp_path / "bad.png").write_bytes(b"not a picture")

    (picture,) = read_pictures([tmp_path / "bad.png", tmp_path / "good.png"], 4, 6)

    assert picture.shape == (1, 4, 6, 3) and picture[0, 0, 0].tolist() == [1, 0, 0]
    assert f"left out {tmp_path / 'bad.png'}: " in capsys.readouterr().err
