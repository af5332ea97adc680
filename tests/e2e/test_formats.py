"""Every common picture format goes through the service and gets the label that the same picture has as JPEG."""

from functools import cache

import pytest
from PIL import Image

from tests.support.colors import COLORED
from tests.support.heif import coded_hevc, grid
from tests.support.pictures import KINDS, TRAFFIC_LIGHT, TRAFFIC_LIGHT_HEIC, encode, photograph
from tests.support.processes import Service

# A picture must survive its format: black and white dots are enough for a tripod, not for a cup of coffee.
PHOTOGRAPH, BLACK_AND_WHITE_PHOTOGRAPH = "coffee.png", "camera.png"


def label(service: Service, data: bytes) -> str:
    answer = service.upload(data)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["prediction_1"]["predicted_label"])


@cache
def label_as_jpeg(service: Service, name: str) -> str:
    return label(service, encode(photograph(name), "JPEG", quality=90))


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_has_the_label_of_its_jpeg(service: Service, kind: str) -> None:
    # Given a photograph in one kind of file
    name = BLACK_AND_WHITE_PHOTOGRAPH if kind == "PNG, 1-bit" else PHOTOGRAPH
    data = KINDS[kind](photograph(name))
    # When it is sent
    found = label(service, data)
    # Then it is what the same photograph is as JPEG
    assert found == label_as_jpeg(service, name)


@pytest.mark.parametrize("kind", COLORED)
def test_a_picture_in_other_colors_has_the_label_of_its_jpeg(service: Service, kind: str) -> None:
    # Given a photograph in HDR, in linear light or in a wide gamut
    data = COLORED[kind](photograph(PHOTOGRAPH))
    # When it is sent, Then it is what the same photograph is as JPEG
    assert label(service, data) == label_as_jpeg(service, PHOTOGRAPH)


def test_a_heic_of_tiles_has_a_label_but_not_if_it_is_cut_off(service: Service) -> None:
    # Given a picture of four tiles, as phones write it, and its first half
    whole = grid(coded_hevc(), 2, 2)
    cut = whole[: len(whole) // 2]
    # When both are sent, Then one has a label, and the other is refused
    assert service.upload(whole).status_code == 200
    answer = service.upload(cut)
    assert answer.status_code == 422
    assert "cannot be decoded" in answer.text


def test_a_heic_picture_has_the_label_of_its_jpeg(service: Service) -> None:
    # Given our drawing as HEIC, and as JPEG
    with Image.open(TRAFFIC_LIGHT) as drawing:
        jpeg = encode(drawing.convert("RGB"), "JPEG", quality=90)
    # When both are sent
    labels = [label(service, data) for data in (TRAFFIC_LIGHT_HEIC.read_bytes(), jpeg)]
    # Then both are what it shows
    assert labels == ["traffic light", "traffic light"]


def test_the_example_of_the_readme_is_recognised_with_a_clear_margin(service: Service) -> None:
    # When the example is sent
    answer = service.upload(TRAFFIC_LIGHT.read_bytes()).json()
    # Then nothing else comes near
    first, second = answer["prediction_1"], answer["prediction_2"]
    assert first["predicted_label"] == "traffic light"
    assert first["confidence_level"] - second["confidence_level"] > 0.5
    assert TRAFFIC_LIGHT.stat().st_size < 50_000
