"""Large pictures leave no memory taken behind them."""

from pathlib import Path

from tests.hostile.bombs import png_of_chunks
from tests.hostile.memory import MEBIBYTE, peak_bytes
from tests.support.processes import RedisServer, Service


def test_an_api_that_gets_large_pictures_one_after_the_other_does_not_grow(server: RedisServer, tmp_path: Path) -> None:
    # Given an API that has had a few pictures of 19 MiB, which its threads took in turns
    service = Service(server.url, tmp_path / "service", tmp_path)
    api = service.start_api()
    picture = png_of_chunks(before=False)
    try:
        for number in range(4):
            service.accept(picture + bytes([number]))
        before = peak_bytes(api.pid)
        # When it gets twenty more
        for number in range(4, 24):
            service.accept(picture + bytes([number]))
        # Then it needed no more room for them than for a picture or two (it was 170 MiB)
        assert peak_bytes(api.pid) - before < 64 * MEBIBYTE
    finally:
        service.stop()
