"""Pictures in JSON: which spellings of base64 are taken, and what the senders of others are told."""

import base64
import json
import time
import tracemalloc
from typing import Any

import pytest

from tests.unit.api.conftest import Bench, encode, make_bench

ASYNC = {"Prefer": "respond-async"}
# Its base64 has every character of the alphabet, and padding.
PICTURE = next(data for size in range(40, 80) if len(data := encode("PNG", (size, 40))) % 3 == 1)
BASE64 = base64.b64encode(PICTURE).decode()
WRAPPED = base64.encodebytes(PICTURE).decode()
assert {"+", "/", "="} <= set(BASE64)


def post(bench: Bench, body: str | bytes, content_type: str = "application/json", **options: Any) -> Any:
    return bench.http.post("/upload", data=body, content_type=content_type, headers=ASYNC, **options)


def of(value: object) -> str:
    return json.dumps({"image": value})


ACCEPTED = {
    "base64": of(BASE64),
    "line breaks": of(WRAPPED),
    "line breaks of Windows": of(WRAPPED.replace("\n", "\r\n")),
    "line breaks of a shell, unescaped": f'{{"image": "{WRAPPED}"}}',
    "spaces and tabs": of(f" {BASE64[:9]} \t {BASE64[9:]} "),
    "the URL-safe alphabet": of(base64.urlsafe_b64encode(PICTURE).decode()),
    "no padding": of(BASE64.rstrip("=")),
    "slashes escaped, as PHP does": of(BASE64).replace("/", r"\/"),
    "plus signs escaped, as .NET does": of(BASE64).replace("+", r"\u002B"),
    "a data URL": of(f"data:image/png;base64,{BASE64}"),
    "a data URL with a wrong type": of(f"DATA:text/plain;charset=x;BASE64,{BASE64}"),
    "other members": json.dumps({"name": "фото 💥", "top": 5, "nested": {"image": "x"}, "image": BASE64}),
    "the last of two members": f'{{"image": "x", "image": "{BASE64}"}}',
    "bytes of no encoding in another member": f'{{"name": "Äpfel", "image": "{BASE64}"}}'.encode("latin-1"),
    "whitespace around": f'\r\n {{ "image" : "{BASE64}" }} \n',
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_picture_in_base64_is_accepted(bench: Bench, name: str) -> None:
    answer = post(bench, ACCEPTED[name])
    assert answer.status_code == 202, answer.text
    job = bench.jobs.get(answer.json["id"])
    assert (job.picture.bytes, job.picture.format, job.top) == (len(PICTURE), "PNG", 3)


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json"]
)
def test_every_type_of_json_is_json(bench: Bench, content_type: str) -> None:
    assert post(bench, of(BASE64), content_type).status_code == 202


def test_the_job_of_a_picture_is_the_same_however_it_comes(bench: Bench) -> None:
    # Given a picture that came as bytes, When it comes again as JSON with the same key, Then it joins the first job
    key = {**ASYNC, "Idempotency-Key": "k"}
    first = bench.http.post("/upload", data=PICTURE, content_type="image/png", headers=key)
    again = bench.http.post("/upload", json={"image": BASE64}, headers=key)
    assert again.json["id"] == first.json["id"]


HOW = 'Send `{"image": "<the bytes of the picture in base64>"}`.'
REFUSED = {
    "nothing": (b"", 400, "not valid JSON"),
    "no JSON": (PICTURE, 400, "not valid JSON"),
    "cut off": (of(BASE64)[:-2], 400, "not valid JSON"),
    "brackets without end": ("[" * 900, 400, "not valid JSON"),
    "many values": ("[" + "{}," * 10_000 + "{}]", 400, "too many values"),
    "a number of 5,000 digits": ('{"image": ' + "9" * 5000 + "}", 400, "not valid JSON"),
    "a list": (json.dumps([BASE64]), 400, "no string `image`"),
    "a text": (json.dumps(BASE64), 400, "no string `image`"),
    "null": ("null", 400, "no string `image`"),
    "another member": (json.dumps({"file": BASE64}), 400, "no string `image`"),
    "another case": (json.dumps({"Image": BASE64}), 400, "no string `image`"),
    "a member of null": (of(None), 400, "no string `image`"),
    "a list of bytes": (of(list(PICTURE[:100])), 400, "no string `image`"),
    "a list of one": (of([BASE64]), 400, "no string `image`"),
    "an address": (of("https://example.com/photo.jpg"), 400, "is not base64"),
    "a path": (of("photo.jpg"), 400, "is not base64"),
    "base64 with a character too much": (of(BASE64[:50] + "!" + BASE64[50:]), 400, "is not base64"),
    "a character beyond ASCII": (of(BASE64[:50] + "é" + BASE64[50:]), 400, "is not base64"),
    "a character beyond Latin-1": (of("💥" + BASE64), 400, "is not base64"),
    "an impossible length": (of("AAAAA"), 400, "is not base64"),
    "a data URL without base64": (of("data:image/svg+xml,%3Csvg%3E"), 400, "is not base64"),
}
EMPTY = {
    "an empty text": (of(""), 400, "The picture is empty."),
    "whitespace": (of(" \n"), 400, "The picture is empty."),
    "an empty data URL": (of("data:,"), 400, "The picture is empty."),
    "base64 of a text": (of(base64.b64encode(b"hello, world").decode()), 415, "JPEG, PNG"),
    "too many bytes": (of(base64.b64encode(b"\xff" * 50_001).decode()), 413, "at most 0.05 MiB"),
    "far too many bytes": (of("A" * 200_000), 413, "at most 0.05 MiB"),
    "too many pixels": (of(base64.b64encode(encode("PNG", (200, 100))).decode()), 413, "200 × 100"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_json_without_a_picture_is_refused_with_the_right_form(bench: Bench, name: str) -> None:
    body, status, sentence = REFUSED[name]
    answer = post(bench, body)
    assert (answer.status_code, sentence in answer.json["error"]) == (status, True), answer.text
    assert answer.json["error"].endswith(HOW)
    assert bench.published == []


@pytest.mark.parametrize("name", EMPTY)
def test_a_bad_picture_in_json_is_refused_as_such(bench: Bench, name: str) -> None:
    body, status, sentence = EMPTY[name]
    answer = post(bench, body)
    assert (answer.status_code, sentence in answer.json["error"]) == (status, True), answer.text
    assert bench.published == []


def test_the_largest_picture_passes_in_every_spelling() -> None:
    # Given a picture of exactly as many bytes as are accepted
    bench = make_bench(max_image_bytes=1_000_000, max_open_jobs=10)
    data = PICTURE + bytes(1_000_000 - len(PICTURE))
    wrapped = base64.encodebytes(data).decode().replace("\n", "\r\n")
    # Then it is accepted, also with line breaks and escapes
    assert post(bench, of(wrapped)).status_code == 202
    escaped = of(base64.b64encode(b"\xfb\xef" * 1000 + b"\xff" * 1000).decode()).replace("/", r"\/")
    assert post(bench, escaped).status_code == 415
    # And with one byte more it is not
    assert post(bench, of(base64.b64encode(data + b"x").decode())).status_code == 413


def test_hostile_json_takes_neither_time_nor_memory() -> None:
    # Given bodies that would become far larger objects, as large as bodies may be
    bench = make_bench(max_image_bytes=4_000_000)
    for piece in ("{},", "[],", "[", '{"a":', r"\/", '"",', "1,"):
        body = f'{{"image": "x", "a": [{piece * (5_900_000 // len(piece))}'
        tracemalloc.start()
        began = time.monotonic()
        # When they come, Then they are refused, soon and in little memory
        assert post(bench, body).status_code == 400
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (time.monotonic() - began < 5, peak < 40_000_000) == (True, True), (piece, peak)
