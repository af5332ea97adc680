"""Pages, contract and results are sent compressed to clients that accept it; uploads and pictures never are."""

import gzip
import zlib
from collections.abc import Iterator
from io import BytesIO

import pytest
from flask import Flask

from api.compression import compressed_stream
from tests.unit.api.conftest import Bench

PATHS = ["/", "/page/main.js", "/page/style.css", "/page/icon.svg", "/docs", "/docs/start.js", "/openapi.json"]
BROWSER = {"Accept-Encoding": "gzip, deflate, br, zstd"}


@pytest.mark.parametrize("path", PATHS)
def test_a_client_that_accepts_gzip_gets_it(bench: Bench, path: str) -> None:
    plain, answer = bench.http.get(path), bench.http.get(path, headers=BROWSER)
    assert (answer.status_code, answer.headers["Content-Encoding"]) == (200, "gzip")
    assert gzip.decompress(answer.data) == plain.data
    assert int(answer.headers["Content-Length"]) == len(answer.data) < len(plain.data)
    assert answer.content_type == plain.content_type
    # And caches between know that there are two forms, whichever they have
    assert "Content-Encoding" not in plain.headers
    assert plain.headers["Vary"] == answer.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("path", PATHS)
def test_head_answers_as_get(bench: Bench, path: str) -> None:
    head, get = (bench.http.open(path, method=method, headers=BROWSER) for method in ("HEAD", "GET"))
    assert (head.status_code, head.data) == (200, b"")
    for name in ("Content-Encoding", "Content-Length", "Content-Type", "Vary", "ETag"):
        assert head.headers.get(name) == get.headers.get(name)


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/docs/start.js"])
def test_each_form_has_its_own_etag(bench: Bench, path: str) -> None:
    plain, small = bench.http.get(path), bench.http.get(path, headers=BROWSER)
    assert plain.headers["ETag"] != small.headers["ETag"]
    # When a browser that has the compressed form asks again, Then nothing is sent
    again = bench.http.get(path, headers={**BROWSER, "If-None-Match": small.headers["ETag"]})
    assert (again.status_code, again.data, again.headers["Vary"]) == (304, b"", "Accept-Encoding")
    assert again.headers["ETag"] == small.headers["ETag"]
    # And the other form is another one
    other = bench.http.get(path, headers={**BROWSER, "If-None-Match": plain.headers["ETag"]})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("*", "gzip"),
        ("identity, gzip", "gzip"),
        ("", None),
        ("br", None),
        ("gzip;q=0", None),
        ("identity", None),
        ("gzip;q=0.2, identity;q=0.8", None),
    ],
)
def test_what_the_client_prefers_is_sent(bench: Bench, accepted: str, coding: str | None) -> None:
    answer = bench.http.get("/page/main.js", headers={"Accept-Encoding": accepted})
    assert (answer.status_code, answer.headers.get("Content-Encoding")) == (200, coding)


def test_pictures_and_answers_to_uploads_are_sent_as_they_are(bench: Bench, png: bytes) -> None:
    for answer in (
        bench.http.get("/page/clock.png", headers=BROWSER),
        bench.upload(png, headers={**BROWSER, "Prefer": "respond-async"}),
    ):
        assert answer.status_code < 300
        assert "Content-Encoding" not in answer.headers
        assert "Accept-Encoding" not in answer.headers.get("Vary", "")


@pytest.mark.parametrize("media_type", ["application/x-ndjson", "text/csv"])
def test_results_of_a_batch_are_compressed(bench: Bench, png: bytes, media_type: str) -> None:
    # Given a batch with a picture that was refused
    path = bench.http.post("/batches").headers["Location"]
    images = {"image": (BytesIO(b"no picture"), "picture.png")}
    bench.http.post(f"{path}/images", data=images)
    headers = {"Accept": media_type}
    # When its results are read, Then they are compressed for those who accept it
    plain = bench.http.get(f"{path}/results", headers=headers)
    answer = bench.http.get(f"{path}/results", headers={**headers, **BROWSER})
    assert (answer.status_code, answer.headers["Content-Encoding"]) == (200, "gzip")
    assert gzip.decompress(answer.data) == plain.data
    assert {each.strip() for each in answer.headers["Vary"].split(",")} == {"Accept", "Accept-Encoding"}


def test_a_part_of_a_stream_is_sent_before_the_next_one_is_made() -> None:
    # Given a stream that notes how far it was read
    made: list[int] = []

    def parts() -> Iterator[bytes]:
        for number in range(3):
            made.append(number)
            yield f"part {number}\n".encode()

    with Flask("stream").test_request_context(headers=BROWSER):
        response = compressed_stream(parts(), "text/plain")
        sent = response.iter_encoded()
    unpacked = zlib.decompressobj(wbits=zlib.MAX_WBITS + 16)
    # When it is sent, Then each part can be read when it has come
    for number in range(3):
        assert unpacked.decompress(next(sent)) == f"part {number}\n".encode()
        assert made == [*range(number + 1)]
    # And the end is told
    assert unpacked.decompress(next(sent)) == b"" and unpacked.eof
