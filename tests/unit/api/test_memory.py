"""The memory of a request's body is free as soon as the request ends, without a run of the garbage collector."""

import gc
import io
import json
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from werkzeug.test import EnvironBuilder

from api.native_threads import run_natively
from tests.support.outcomes import succeed
from tests.support.wait import eventually
from tests.unit.api.conftest import Bench, encode, make_bench

FORM_TYPE = "multipart/form-data; boundary=x"
PICTURE = encode("PNG")
FORM = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + PICTURE + b"\r\n--x--\r\n"
BODIES = {
    "a picture": (PICTURE, "image/png"),
    "a picture in a slow format": (encode("TIFF"), "image/tiff"),
    "no picture": (b"x" * 1000, "image/png"),
    "too many bytes": (b"x" * 100_000, "image/png"),
    "a form": (FORM, FORM_TYPE),
    "a form that is cut off": (FORM[:-30], FORM_TYPE),
    "a form without a picture": (FORM.replace(b"image", b"other"), FORM_TYPE),
    "a form with too many bytes": (FORM[:-10] + b"x" * 100_000, FORM_TYPE),
    "JSON without a picture": (json.dumps({"image": "!"}).encode(), "application/json"),
    "broken JSON": (b"{", "application/json"),
}


class Body(io.BytesIO):
    """A body that a weak reference can follow."""


@pytest.fixture
def _no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="module")
def bench() -> Bench:
    bench = make_bench(max_image_bytes=50_000)
    # The first request loads modules.
    bench.upload(PICTURE, headers={"Prefer": "respond-async"})
    return bench


@pytest.mark.usefixtures("_no_garbage_collection")
@pytest.mark.parametrize("name", BODIES)
def test_a_request_leaves_no_body_for_the_garbage_collector(bench: Bench, name: str) -> None:
    # Given a request
    data, content_type = BODIES[name]
    body = Body(data)
    followed = weakref.ref(body)
    builder = EnvironBuilder(
        "/upload",
        method="POST",
        headers={"Prefer": "respond-async"},
        input_stream=body,
        content_type=content_type,
        content_length=len(data),
    )
    environ = builder.get_environ()
    # When it has been answered
    for _ in bench.http.application(environ, lambda *_: lambda _: None):
        pass
    del environ, builder, body
    # Then nothing refers to its body
    assert followed() is None


def test_a_request_that_waits_has_closed_its_body(bench: Bench) -> None:
    # Given a plain upload that waits for its result
    body = Body(PICTURE)
    environ = EnvironBuilder(
        "/upload", method="POST", input_stream=body, content_type="image/png", content_length=len(PICTURE)
    ).get_environ()
    bench.waiters.start()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(bench.http.application, environ, lambda *_: lambda _: None)
        # Then its body is closed: the server no longer counts its memory
        eventually(lambda: body.closed, what="a closed body")
        assert not waiting.done()
        succeed(bench.jobs, bench.published[-1], {}, {})
        waiting.result(10)


@pytest.mark.usefixtures("_no_garbage_collection")
def test_a_native_thread_leaves_nothing_for_the_garbage_collector() -> None:
    # Given a call that fails
    def fail(body: Body) -> None:
        raise ValueError("no")

    body = Body()
    followed = weakref.ref(body)
    # When it has run in a native thread
    with pytest.raises(ValueError, match="no"):
        run_natively(fail, body)
    del body
    # Then nothing refers to its argument
    assert followed() is None
