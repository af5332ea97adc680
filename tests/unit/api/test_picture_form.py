"""Which forms have a picture, and what the senders of others are told."""

import hashlib
import re
from typing import Any

import pytest

from tests.unit.api.conftest import Bench, encode

TYPE = "multipart/form-data; boundary=x"
PICTURE = encode("PNG")
DIGEST = hashlib.sha256(PICTURE).hexdigest()
LARGE = b"\xff" * 40_000
ASYNC = {"Prefer": "respond-async"}
IMAGE = b'Content-Disposition: form-data; name="image"; filename="a.png"'
IMAGE_TEXT = b'Content-Disposition: form-data; name="image"'


def post(bench: Bench, *parts: tuple[bytes, bytes], content_type: str = TYPE) -> Any:
    """Send a form with these parts: the lines of the head, and the content."""
    body = b"".join(b"--x\r\n" + head + b"\r\n\r\n" + content + b"\r\n" for head, content in parts) + b"--x--\r\n"
    return bench.http.post("/upload", data=body, content_type=content_type, headers=ASYNC)


def digest_of(bench: Bench, answer: Any) -> str:
    """Return the digest of the picture of the accepted job."""
    assert answer.status_code == 202, answer.text
    return bench.jobs.get(answer.json["id"]).picture.sha256


def file(name: bytes, content: bytes = PICTURE) -> tuple[bytes, bytes]:
    return b'Content-Disposition: form-data; name="' + name + b'"; filename="a.png"', content


NAMES = {
    "a path": b'filename="../../../../tmp/x"',
    "an absolute path": b'filename="/etc/passwd"',
    "a Windows path": b'filename="..\\x"',
    "a NUL": b'filename="a\0b.jpg"',
    "300 characters": b'filename="' + b"x" * 300 + b'"',
    "10,000 characters": b'filename="' + b"x" * 10_000 + b'"',
    "markup": b'filename="<script>alert(1)</script>"',
    "empty": b'filename=""',
    "an emoji": 'filename="💥"'.encode(),
    "Latin-1": 'filename="Äpfel.jpg"'.encode("latin-1"),
    "GBK": 'filename="照片.jpg"'.encode("gbk"),
    "Shift JIS that ends in a backslash": 'filename="写真表"'.encode("shift_jis"),
    "bytes of no encoding": b'filename="\x81\xff\xfe.jpg"',
    "filename* alone": b"filename*=utf-8''%E2%82%AC.jpg",
    "filename* in an unknown encoding": b"filename*=klingon''%E2.jpg",
    "filename* and filename": b"filename*=utf-8''a.jpg; filename=\"a.jpg\"",
    "unquoted": b"filename=photo.jpg",
    "unquoted, with a space": b"filename=my photo.jpg",
    "quotes within quotes": b'filename="my "best" photo.jpg"',
    "no closing quote": b'filename="photo.jpg',
    "a name parameter in the name": b'filename="a; name=other.jpg"',
    "a percent sign": b'filename="100%.jpg"',
}


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_file_counts_for_nothing(bench: Bench, name: str) -> None:
    # When a picture comes under a strange name
    answer = post(bench, (IMAGE_TEXT + b"; " + NAMES[name], PICTURE))
    # Then it is accepted under an id that the service has made, and the name is neither kept nor told
    assert digest_of(bench, answer) == DIGEST
    job_id = answer.json["id"]
    assert re.fullmatch("[0-9a-f]{32}", job_id)
    assert sorted(bench.redis.scan_iter("*:" + job_id)) == [f"image:{job_id}", f"job:{job_id}"]
    record = bench.http.get(f"/result/{job_id}")
    for word in ("passwd", "xxx", "script", "photo", "pfel", ".jpg"):
        assert word not in f"{bench.redis.hgetall(f'job:{job_id}')} {answer.text} {record.text}"


ACCEPTED = {
    "a field without a file name": [(IMAGE_TEXT, PICTURE)],
    "with a type, without a file name": [(IMAGE_TEXT + b"\r\nContent-Type: application/octet-stream", PICTURE)],
    "called text": [(IMAGE + b"\r\nContent-Type: text/plain", PICTURE)],
    "nothing quoted": [(b"Content-Disposition: form-data; name=image; filename=a.png", PICTURE)],
    "no spaces": [(b'Content-Disposition:form-data;name="image";filename="a.png"', PICTURE)],
    "the file name first": [(b'Content-Disposition: form-data; filename="a.png"; name="image"', PICTURE)],
    "other cases": [(b'content-disposition: Form-Data; Name="image"; FileName="a.png"', PICTURE)],
    "many headers": [(b"\r\n".join([IMAGE, *(b"X-%d: x" % number for number in range(7))]), PICTURE)],
    "an empty file input of the same name before it": [
        (b'Content-Disposition: form-data; name="image"; filename=""', b""),
        (IMAGE, PICTURE),
    ],
    "an empty text of the same name behind it": [(IMAGE, PICTURE), (IMAGE_TEXT, b"")],
    "a larger file in another field before it": [file(b"file", LARGE), (IMAGE, PICTURE)],
    "a larger file in another field behind it": [(IMAGE, PICTURE), file(b"file", LARGE)],
    "a large text": [(b'Content-Disposition: form-data; name="note"', LARGE), (IMAGE, PICTURE)],
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_picture_in_the_field_is_accepted(bench: Bench, name: str) -> None:
    assert digest_of(bench, post(bench, *ACCEPTED[name])) == DIGEST


@pytest.mark.parametrize(
    "content_type", ["Multipart/Form-Data; Boundary=x", 'multipart/form-data;charset=utf-8;boundary="x"']
)
def test_the_type_of_a_form_may_be_written_in_any_way(bench: Bench, content_type: str) -> None:
    assert post(bench, (IMAGE, PICTURE), content_type=content_type).status_code == 202


@pytest.mark.parametrize("size", [1, 10_000, 16 * 1024 + 1, 50_000, 60_000])
@pytest.mark.parametrize(
    "head",
    [
        b'Content-Disposition: form-data; name="file"; filename="photo.jpg"',
        b"Content-Disposition: form-data; name=\"file\"; filename*=utf-8''photo.jpg",
        b'Content-Disposition: form-data; name="file"\r\nContent-Type: image/jpeg',
    ],
)
def test_a_file_in_a_wrong_field_is_told_the_right_one_at_any_size(bench: Bench, size: int, head: bytes) -> None:
    answer = post(bench, (head, b"\xff" * size))
    assert answer.status_code == 400
    assert answer.json["error"] == "The form has a file in `file`; send it in `image`."


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        (b"image[]", "`image[]`"),
        (b"Image", "`Image`"),
        (b"IMAGE", "`IMAGE`"),
        (b"image ", "`image `"),
        ("Фото".encode(), "`Фото`"),
        ("Foto für alle".encode("latin-1"), "`Foto f�r alle`"),
        (b"x" * 1000, f"`{'x' * 50}`"),
        (b"", "a field without a name"),
    ],
)
def test_a_wrong_field_is_named_as_the_client_wrote_it(bench: Bench, field: bytes, shown: str) -> None:
    answer = post(bench, file(field))
    assert (answer.status_code, answer.json["error"]) == (400, f"The form has a file in {shown}; send it in `image`.")


def test_of_several_wrong_fields_the_first_with_a_file_is_named(bench: Bench) -> None:
    text = (b'Content-Disposition: form-data; name="a"', b"text")
    answer = post(bench, text, file(b"b", b""), file(b"c"), file(b"d"), (IMAGE, b""))
    assert (answer.status_code, "`c`" in answer.json["error"]) == (400, True)


REFUSED = {
    "no part": ([], "No image provided"),
    "text alone": ([(b'Content-Disposition: form-data; name="file"', b"photo.jpg")], "No image provided"),
    "typed text alone": (
        [(b'Content-Disposition: form-data; name="top"\r\nContent-Type: text/plain; charset=utf-8', b"5")],
        "No image provided",
    ),
    "text in a field called filename": (
        [(b'Content-Disposition: form-data; name="filename"', b"photo.jpg")],
        "No image provided",
    ),
    "an empty file": ([(IMAGE, b"")], "The picture is empty."),
    "a path instead of a file": ([(IMAGE_TEXT, b"photo.jpg")], '`-F "image=@photo.jpg"`'),
    "two pictures": ([(IMAGE, PICTURE), (IMAGE, PICTURE)], "several pictures in `image`"),
    "two large pictures": ([(IMAGE, LARGE), (IMAGE, LARGE[:30_000])], "several pictures in `image`"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_form_without_one_picture_is_refused_with_advice(bench: Bench, name: str) -> None:
    parts, sentence = REFUSED[name]
    answer = post(bench, *parts)
    assert (answer.status_code, sentence in answer.json["error"]) == (400, True), answer.text
    assert bench.published == []


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary="])
def test_a_form_without_a_boundary_is_told_where_it_comes_from(bench: Bench, content_type: str) -> None:
    answer = post(bench, (IMAGE, PICTURE), content_type=content_type)
    assert (answer.status_code, "has no boundary" in answer.json["error"]) == (400, True)
