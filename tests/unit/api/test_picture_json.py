"""Pictures in JSON: which variants of base64 are accepted, and the errors for others."""

import base64
import codecs
import json
import time
import tracemalloc
from typing import Any

import pytest

from tests.unit.api.conftest import Bench, encode, make_bench

ASYNC = {"Prefer": "respond-async"}
# Its base64 contains `+`, `/` and padding.
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
    "Windows line breaks": of(WRAPPED.replace("\n", "\r\n")),
    "unescaped line breaks, from a shell": f'{{"image": "{WRAPPED}"}}',
    "spaces and tabs": of(f" {BASE64[:9]} \t {BASE64[9:]} "),
    "the URL-safe alphabet": of(base64.urlsafe_b64encode(PICTURE).decode()),
    "no padding": of(BASE64.rstrip("=")),
    "slashes escaped, as PHP does": of(BASE64).replace("/", r"\/"),
    "plus signs escaped, as .NET does": of(BASE64).replace("+", r"\u002B"),
    "a data URL": of(f"data:image/png;base64,{BASE64}"),
    "a data URL with a wrong type": of(f"DATA:text/plain;charset=x;BASE64,{BASE64}"),
    "other members": json.dumps({"name": "фото 💥", "top": 5, "nested": {"image": "x"}, "image": BASE64}),
    "the last of two members": f'{{"image": "x", "image": "{BASE64}"}}',
    "invalid UTF-8 in another member": f'{{"name": "Äpfel", "image": "{BASE64}"}}'.encode("latin-1"),
    "a byte order mark, from PowerShell": codecs.BOM_UTF8 + of(BASE64).encode(),
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
def test_every_json_content_type_is_accepted(bench: Bench, content_type: str) -> None:
    assert post(bench, of(BASE64), content_type).status_code == 202


def test_an_idempotency_key_works_across_request_formats(bench: Bench) -> None:
    # Given a picture sent as bytes, When it is sent again as JSON with the same key, Then it joins the first job
    key = {**ASYNC, "Idempotency-Key": "k"}
    first = bench.http.post("/upload", data=PICTURE, content_type="image/png", headers=key)
    again = bench.http.post("/upload", json={"image": BASE64}, headers=key)
    assert again.json["id"] == first.json["id"]


HOW = 'Send `{"image": "<the bytes of the picture in base64>"}`.'
REFUSED = {
    "nothing": (b"", "The body is empty"),
    "whitespace": (b" \r\n", "The body is empty"),
    "only a byte order mark": (codecs.BOM_UTF8, "The body is empty"),
    "not JSON": (PICTURE, "not valid JSON"),
    "truncated": (of(BASE64)[:-2], "not valid JSON"),
    "unclosed brackets": ("[" * 900, "not valid JSON"),
    "many values": ("[" + "{}," * 10_000 + "{}]", "too many values"),
    "a number of 5,000 digits": ('{"image": ' + "9" * 5000 + "}", "not valid JSON"),
    "a list": (json.dumps([BASE64]), "no string `image`"),
    "a text": (json.dumps(BASE64), "no string `image`"),
    "null": ("null", "no string `image`"),
    "another member": (json.dumps({"file": BASE64}), "no string `image`"),
    "another case": (json.dumps({"Image": BASE64}), "no string `image`"),
    "null as the picture": (of(None), "no string `image`"),
    "a list of bytes": (of(list(PICTURE[:100])), "no string `image`"),
    "a list of one": (of([BASE64]), "no string `image`"),
    "a URL": (of("https://example.com/photo.jpg"), "is not base64"),
    "a path": (of("photo.jpg"), "is not base64"),
    "base64 with an invalid character": (of(BASE64[:50] + "!" + BASE64[50:]), "is not base64"),
    "a character beyond ASCII": (of(BASE64[:50] + "é" + BASE64[50:]), "is not base64"),
    "a character beyond Latin-1": (of("💥" + BASE64), "is not base64"),
    "an impossible length": (of("AAAAA"), "is not base64"),
    "a data URL without base64": (of("data:image/svg+xml,%3Csvg%3E"), "is not base64"),
}
BAD_PICTURES = {
    "an empty text": (of(""), 400, "The picture is empty."),
    "whitespace": (of(" \n"), 400, "The picture is empty."),
    "an empty data URL": (of("data:,"), 400, "The picture is empty."),
    "base64 of a text": (of(base64.b64encode(b"hello, world").decode()), 415, "JPEG, PNG"),
    "too many bytes": (of(base64.b64encode(b"\xff" * 50_001).decode()), 413, "at most 0.05 MiB"),
    "far too many bytes": (of("A" * 200_000), 413, "at most 0.05 MiB"),
    "too many pixels": (of(base64.b64encode(encode("PNG", (200, 100))).decode()), 413, "200 × 100"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_json_without_a_picture_is_refused_with_the_expected_format(bench: Bench, name: str) -> None:
    body, sentence = REFUSED[name]
    answer = post(bench, body)
    assert (answer.status_code, sentence in answer.json["error"]) == (400, True), answer.text
    assert answer.json["error"].endswith(HOW)
    assert bench.published == []


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_a_bad_picture_in_json_is_refused(bench: Bench, name: str) -> None:
    body, status, sentence = BAD_PICTURES[name]
    answer = post(bench, body)
    assert (answer.status_code, sentence in answer.json["error"]) == (status, True), answer.text
    assert bench.published == []


def test_the_largest_picture_is_accepted_in_every_variant() -> None:
    # Given a picture of exactly `MAX_IMAGE_BYTES`
    bench = make_bench(max_image_bytes=1_000_000, max_open_jobs=10)
    data = PICTURE + bytes(1_000_000 - len(PICTURE))
    wrapped = base64.encodebytes(data).decode().replace("\n", "\r\n")
    # When it is sent with line breaks or escapes, Then it is accepted
    assert post(bench, of(wrapped)).status_code == 202
    escaped = of(base64.b64encode(b"\xfb\xef" * 1000 + b"\xff" * 1000).decode()).replace("/", r"\/")
    assert post(bench, escaped).status_code == 415
    # And with one byte more it is not
    assert post(bench, of(base64.b64encode(data + b"x").decode())).status_code == 413


def test_hostile_json_needs_little_time_and_memory() -> None:
    # Given bodies of the maximum size that would need far more memory once parsed
    bench = make_bench(max_image_bytes=4_000_000)
    for piece in ("{},", "[],", "[", '{"a":', r"\/", '"",', "1,"):
        body = f'{{"image": "x", "a": [{piece * (5_900_000 // len(piece))}'
        tracemalloc.start()
        began = time.process_time()
        # When they are sent, Then they are refused quickly and with little memory
        assert post(bench, body).status_code == 400
        seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        print(f"{piece}: {seconds:.2f} s, {peak / 1e6:.0f} MB")
        assert (seconds < 5, peak < 40_000_000) == (True, True), (piece, seconds, peak)
