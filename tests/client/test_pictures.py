"""The forms in which Python programs give pictures, and arguments that are refused."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.client.conftest import Script, accepted, labels
from topthree_client import Client

DATA = b"a picture"


def in_a_file(folder: Path) -> Path:
    (folder / "cat.png").write_bytes(DATA)
    return folder / "cat.png"


def opened_file(folder: Path) -> io.BufferedReader:
    return in_a_file(folder).open("rb")


FORMS: dict[str, Callable[[Path], Any]] = {
    "path": in_a_file,
    "name": lambda folder: str(in_a_file(folder)),
    "bytes": lambda _: DATA,
    "bytearray": lambda _: bytearray(DATA),
    "memoryview": lambda _: memoryview(DATA),
    "BytesIO": lambda _: io.BytesIO(DATA),
    "file": opened_file,
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_sent_whole_even_if_the_upload_is_repeated(clock: object, tmp_path: Path, form: str) -> None:
    # Given a picture in some form, and a service that loses the first upload
    picture = FORMS[form](tmp_path)
    script = Script(connection_lost, accepted(), labels())
    # When it is classified
    with script.client() as client:
        client.classify(picture)
    # Then both uploads have all of its bytes
    assert script.bodies[:2] == [DATA, DATA]
    if isinstance(picture, io.IOBase):
        picture.close()


def connection_lost() -> Any:
    raise httpx.ReadError("reset")


def sent(picture: Any) -> Image.Image:
    """Return the picture that the service receives."""
    script = Script(accepted(), labels())
    with script.client() as client:
        client.classify(picture)
    return Image.open(io.BytesIO(script.bodies[0]))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "YCbCr", "HSV"])
def test_an_image_of_pillow_keeps_its_pixels(mode: str) -> None:
    image = Image.linear_gradient("L").resize((8, 8)).convert("RGB").convert(mode)
    assert sent(image).convert("RGB").tobytes() == image.convert("RGB").tobytes()


def test_an_image_of_pillow_keeps_its_orientation(tmp_path: Path) -> None:
    # Given a photo that was taken with the camera turned
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 2)).save(tmp_path / "turned.jpg", exif=exif)
    # When it is opened with Pillow and sent, Then the service can turn it
    with Image.open(tmp_path / "turned.jpg") as image:
        assert sent(image).getexif()[0x0112] == 6


@pytest.mark.parametrize("picture", [None, 7, io.StringIO("text"), ["a.png"]])
def test_what_is_no_picture_is_refused(picture: Any) -> None:
    script = Script(accepted())
    with script.client() as client, pytest.raises(ValueError, match="A picture is a path, bytes"):
        client.classify(picture)
    assert not script.asked


def test_a_named_pipe_is_no_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with Script(accepted()).client() as client, pytest.raises(OSError, match="not a regular file"):
        client.classify(tmp_path / "pipe.png")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"top": 0}, "top"),
        ({"top": 11}, "top"),
        ({"top": 2.5}, "top"),
        ({"top": "3"}, "top"),
        ({"top": True}, "top"),
        ({"min_confidence": -0.1}, "min_confidence"),
        ({"min_confidence": 1.1}, "min_confidence"),
        ({"min_confidence": float("nan")}, "min_confidence"),
        ({"min_confidence": "0.5"}, "min_confidence"),
    ],
)
@pytest.mark.parametrize("call", ["classify", "submit", "classify_many"])
def test_wrong_arguments_are_refused_before_anything_is_sent(call: str, arguments: dict[str, Any], name: str) -> None:
    script = Script(accepted())
    picture: Any = [DATA] if call == "classify_many" else DATA
    with script.client() as client, pytest.raises(ValueError, match=f"^{name} must be"):
        getattr(client, call)(picture, **arguments)
    assert not script.asked


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "5"])
def test_a_timeout_that_is_none_is_refused(seconds: Any) -> None:
    with pytest.raises(ValueError, match="timeout_seconds must be more than 0"):
        Client(timeout_seconds=seconds)


def test_the_environment_names_the_service_and_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given the variables of the command line
    monkeypatch.setenv("TOPTHREE_URL", "http://environment:1")
    monkeypatch.setenv("TOPTHREE_API_KEY", "secret")
    # When a client is made without arguments, Then it uses them
    script = Script(accepted(), labels())
    with Client(transport=httpx.MockTransport(script)) as client:
        client.classify(DATA)
    assert client.url == "http://environment:1"
    assert {request.headers["Authorization"] for request in script.asked} == {"Bearer secret"}
    # And arguments take precedence; an empty key is none
    script = Script(accepted(), labels())
    with Client("http://argument", api_key="", transport=httpx.MockTransport(script)) as client:
        client.classify(DATA)
    assert client.url == "http://argument" and "Authorization" not in script.asked[0].headers
    # And an empty variable counts as unset
    monkeypatch.setenv("TOPTHREE_URL", "")
    with Client() as client:
        assert client.url == "http://127.0.0.1:5000"
