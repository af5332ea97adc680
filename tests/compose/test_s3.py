"""Pictures in S3 with deploy/compose.s3.yml: both images have what it needs, and the bucket holds what waits."""

from collections.abc import Iterator

import pytest

from tests.compose.conftest import Pictures
from tests.support.docker import Engine, Stack
from tests.support.reader import Reader
from tests.support.s3_server import BUCKET, S3Server
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server that containers reach too."""
    with S3Server(tmp_path_factory.mktemp("s3"), host="0.0.0.0") as server:
        yield server


@pytest.fixture(scope="module")
def stored(engine: Engine, s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    environ = s3.environ | {
        "IMAGE_STORE_URL": f"s3://{BUCKET}/waiting",
        "AWS_ENDPOINT_URL": f"http://{engine.host_address()}:{s3.port}",
    }
    folder = tmp_path_factory.mktemp("reader")
    with Reader(engine, folder, "deploy/compose.s3.yml", **environ) as reader:
        reader.follow_page("docs/how-to/s3.md")
        yield reader.stack


def test_pictures_lie_in_the_bucket_while_they_wait(stored: Stack, s3: S3Server, pictures: Pictures) -> None:
    # Given workers that are held, When pictures come
    stored.run("pause", "worker")
    jobs = [stored.accept(picture) for picture in pictures(3)]
    # Then they lie in the bucket, and in Redis there are none
    assert sorted(s3.names("waiting")) == sorted(jobs)
    assert not stored.run("exec", "-T", "redis", "redis-cli", "--scan", "--pattern", "image:*").strip()
    # And when the workers go on, all are answered and the bucket is empty
    stored.run("unpause", "worker")
    assert {record["status"] for record in stored.results(jobs, seconds=60)} == {"succeeded"}
    eventually(lambda: not s3.names("waiting"), 10, "an empty folder")


@pytest.mark.parametrize("service", ["api", "worker"])
def test_a_bucket_that_is_not_there_is_a_sentence(stored: Stack, service: str) -> None:
    done = stored.call("run", "--rm", "--no-deps", "-e", "IMAGE_STORE_URL=s3://mistyped/waiting", service)
    assert done.returncode == 2
    assert f"{service}: IMAGE_STORE_URL: The specified bucket does not exist" in done.stdout
