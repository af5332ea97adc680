"""Every image store keeps to the same contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from shared.errors import ImageMissing
from shared.image_store import ImageStore, open_image_store
from tests.support.processes import RedisServer


@pytest.fixture(params=["redis:", "file", "memory"])
def store(request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path) -> Iterator[ImageStore]:
    url = {"redis:": "redis:", "file": f"file://{tmp_path}/pictures", "memory": "memory://pictures"}[request.param]
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield open_image_store(url, client)


def test_returns_what_was_put(store: ImageStore) -> None:
    # Given bytes of every value
    data = bytes(range(256)) * 10
    # When they are put
    store.put("a" * 32, data)
    # Then they come back as they were
    assert store.get("a" * 32) == data


def test_second_put_replaces_the_first(store: ImageStore) -> None:
    # Given a picture
    store.put("b" * 32, b"first")
    # When another is put under the same id
    store.put("b" * 32, b"second")
    # Then it is the one that is kept
    assert store.get("b" * 32) == b"second"


def test_a_missing_picture_is_an_error_of_its_own(store: ImageStore) -> None:
    # When a picture is wanted that never was, Then ImageMissing says so
    with pytest.raises(ImageMissing, match="no longer stored"):
        store.get("c" * 32)


def test_delete_forgets_and_may_be_repeated(store: ImageStore) -> None:
    # Given a picture
    store.put("d" * 32, b"data")
    # When it is deleted twice
    store.delete("d" * 32)
    store.delete("d" * 32)
    # Then it is gone
    with pytest.raises(ImageMissing):
        store.get("d" * 32)


def test_pictures_do_not_touch_each_other(store: ImageStore) -> None:
    # Given two pictures
    store.put("e" * 32, b"one")
    store.put("f" * 32, b"two")
    # When one is deleted
    store.delete("e" * 32)
    # Then the other stays
    assert store.get("f" * 32) == b"two"


def test_pictures_in_redis_expire(redis_server: RedisServer) -> None:
    # Given the Redis store
    with redis.Redis.from_url(redis_server.url) as client:
        store = open_image_store("redis:", client)
        # When a picture is put
        store.put("0" * 32, b"data")
        # Then it has a time to live
        assert client.ttl("image:" + "0" * 32) > 0
