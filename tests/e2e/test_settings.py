"""Settings of the environment, as processes read them at their start."""

from pathlib import Path

from tests.support.processes import RedisServer, Service


def test_the_prefix_wins_and_a_misspelt_setting_is_told(redis_server: RedisServer, tmp_path: Path) -> None:
    # Given a HOST that conda exports, the one that is meant, and a misspelt setting
    settings = {"HOST": "x86_64-conda-linux-gnu", "TOPTHREE_HOST": "127.0.0.1", "TOPTHREE_WORKRES": "2"}
    service = Service(redis_server.url, tmp_path, tmp_path, **settings)
    try:
        # When the API starts, Then it listens where it was meant to
        api = service.start_api()
        # And the misspelt one is told
        assert "TOPTHREE_WORKRES is set, but there is no such setting" in api.output
    finally:
        service.stop()
