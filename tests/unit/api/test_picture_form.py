"""Pictures in forms: which forms are accepted, and the errors for others."""

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
NOTE = b'Content-Disposition: form-data; name="note"'


def post(bench: Bench, *parts: tuple[bytes, bytes], content_type: str = TYPE) -> Any:
    """Send a form with these parts, each with its headers and its content."""
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
    "bytes in no encoding": b'filename="\x81\xff\xfe.jpg"',
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
def test_file_names_are_ignored(bench: Bench, name: str) -> None:
    # When a picture is sent with an unusual file name
    answer = post(bench, (IMAGE_TEXT + b"; " + NAMES[name], PICTURE))
    # Then it is accepted with a generated id, and the name is neither stored nor returned
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
    "with the type text/plain": [(IMAGE + b"\r\nContent-Type: text/plain", PICTURE)],
    "nothing quoted": [(b"Content-Disposition: form-data; name=image; filename=a.png", PICTURE)],
    "no spaces": [(b'Content-Disposition:form-data;name="image";filename="a.png"', PICTURE)],
    "the file name first": [(b'Content-Disposition: form-data; filename="a.png"; name="image"', PICTURE)],
    "other cases": [(b'content-disposition: Form-Data; Name="image"; FileName="a.png"', PICTURE)],
    "many headers": [(b"\r\n".join([IMAGE, *(b"X-%d: x" % number for number in range(7))]), PICTURE)],
    "after an empty file input of the same name": [
        (b'Content-Disposition: form-data; name="image"; filename=""', b""),
        (IMAGE, PICTURE),
    ],
    "before an empty text of the same name": [(IMAGE, PICTURE), (IMAGE_TEXT, b"")],
    "after a larger file in another field": [file(b"file", LARGE), (IMAGE, PICTURE)],
    "before a larger file in another field": [(IMAGE, PICTURE), file(b"file", LARGE)],
    "a large text": [(NOTE, LARGE), (IMAGE, PICTURE)],
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_picture_in_the_field_is_accepted(bench: Bench, name: str) -> None:
    assert digest_of(bench, post(bench, *ACCEPTED[name])) == DIGEST


@pytest.mark.parametrize(
    "content_type", ["Multipart/Form-Data; Boundary=x", 'multipart/form-data;charset=utf-8;boundary="x"']
)
def test_the_content_type_of_a_form_may_be_spelled_in_any_way(bench: Bench, content_type: str) -> None:
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
def test_the_error_for_a_file_in_the_wrong_field_names_the_right_one(bench: Bench, size: int, head: bytes) -> None:
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
def test_the_error_names_the_wrong_field_as_the_client_spelled_it(bench: Bench, field: bytes, shown: str) -> None:
    answer = post(bench, file(field))
    assert (answer.status_code, answer.json["error"]) == (400, f"The form has a file in {shown}; send it in `image`.")


def test_the_error_names_the_first_wrong_field_with_a_file(bench: Bench) -> None:
    answer = post(bench, (NOTE, b"text"), file(b"b", b""), file(b"c"), file(b"d"), (IMAGE, b""))
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
    "eleven parts": ([(IMAGE, PICTURE), *[(NOTE, b"text")] * 10], "more than 10 fields"),
    "a header that is not text": ([(b"X: \xff<script>", b"")], "Missing Content-Disposition"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_form_without_exactly_one_picture_is_refused(bench: Bench, name: str) -> None:
    parts, sentence = REFUSED[name]
    answer = post(bench, *parts)
    assert (answer.status_code, sentence in answer.json["error"]) == (400, True), answer.text
    assert bench.published == []


def test_a_truncated_form_is_refused(bench: Bench) -> None:
    answer = bench.http.post("/upload", data=b"--x\r\n" + IMAGE + b"\r\n\r\n" + PICTURE, content_type=TYPE)
    assert (answer.status_code, "it is cut off" in answer.json["error"]) == (400, True)
    assert bench.published == []


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary="])
def test_a_form_without_a_boundary_is_refused(bench: Bench, content_type: str) -> None:
    answer = post(bench, (IMAGE, PICTURE), content_type=content_type)
    assert (answer.status_code, "has no boundary" in answer.json["error"]) == (400, True)
