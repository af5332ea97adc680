"""An S3 server for tests: moto's, a process of its own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3
import requests

from deploy.local.embedded_redis import free_port
from tests.support.processes import Process
from tests.support.wait import eventually

BUCKET = "pictures"
CREDENTIALS = {"aws_access_key_id": "tests", "aws_secret_access_key": "tests"}


class S3Server:
    """A server with one bucket, which is empty; it ends with its `with` block."""

    def __init__(self, folder: Path, host: str = "127.0.0.1", *, trusting: bool = True) -> None:
        """Serve on `host`; without trust, once the bucket is made, it refuses all credentials, as it knows none."""
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        command = [sys.executable, "-m", "moto.server", "--host", host, "--port", str(self.port)]
        environ = {} if trusting else {"INITIAL_NO_AUTH_ACTION_COUNT": "1"}
        self._process = Process(command, folder / "s3.log", **environ)
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = {name.upper(): value for name, value in CREDENTIALS.items()} | {"AWS_ENDPOINT_URL": self.url}
        eventually(self._answers, 60, "an answer of the S3 server")
        self.make_bucket()

    def make_bucket(self) -> None:
        requests.put(f"{self.url}/{BUCKET}", timeout=10).raise_for_status()

    def delete_bucket(self) -> None:
        """Delete the bucket, with all that is in it."""
        with self.client() as client:
            for thing in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
                client.delete_object(Bucket=BUCKET, Key=thing["Key"])
            client.delete_bucket(Bucket=BUCKET)

    def _answers(self) -> bool:
        assert self._process.running, self._process.output
        try:
            return requests.get(f"{self.url}/moto-api/", timeout=5).ok
        except requests.ConnectionError:
            return False

    def names(self, folder: str) -> list[str]:
        """Return what lies in this folder of the bucket."""
        with self.client() as client:
            found = client.list_objects_v2(Bucket=BUCKET, Prefix=folder + "/").get("Contents", [])
        return [thing["Key"].removeprefix(folder + "/") for thing in found]

    def buckets(self) -> list[str]:
        """Return the names of its buckets."""
        with self.client() as client:
            return [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]

    @contextmanager
    def client(self) -> Iterator[Any]:
        """Yield a client of the Python library of AWS, who sees what the service does from outside."""
        client = boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", **CREDENTIALS)
        try:
            yield client
        finally:
            client.close()

    def __enter__(self) -> "S3Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """End it."""
        self._process.kill()
