"""The inside: Redis over TLS and with a password, messages in JSON only, no secret in any log."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
import trustme

from shared.jobs.queue import QUEUE_NAME, TASK_NAME
from shared.settings import Settings
from tests.support.processes import RedisServer, Service
from tests.support.stub_worker import EXECUTIONS, digest_of, make_picture
from tests.support.tcp_proxy import TcpProxy
from tests.support.wait import eventually
from worker.runtime.celery_app import create_celery

# Every kind of character that a URL would take for something else.
PASSWORD = "s3cret/@:#?%ä"
OTHER_PASSWORD = "0ther/@:#?%ö"


class StubService(Service):
    """A service whose worker answers with the digest of a picture."""

    def start(self) -> None:
        self.start_api()
        self.start_worker("tests.support.stub_worker", **{EXECUTIONS: str(self._folder / "executions")})

    @property
    def logs(self) -> str:
        return "".join(process.output for process in [self.api, *self.workers] if process)

    def label_of(self, picture: bytes) -> str:
        answer = self.upload(picture, "picture.png")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["prediction_1"]["predicted_label"])


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that asks for a password."""
    server = RedisServer(tmp_path / "redis", password=PASSWORD)
    yield server
    server.kill()


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_port(secured: RedisServer, authority: trustme.CA) -> Iterator[int]:
    """The port on which the same Redis speaks TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    with TcpProxy(secured.port, context) as proxy:
        yield proxy.port


@contextmanager
def running(url: str, folder: Path) -> Iterator[StubService]:
    """An API and a worker that log all they can."""
    service = StubService(url, folder, folder, LOG_LEVEL="DEBUG")
    try:
        service.start()
        yield service
    finally:
        service.stop()


def secure_url(port: int, query: str = "") -> str:
    return f"rediss://:{quote(PASSWORD, safe='')}@localhost:{port}/0{query}"


class TestTls:
    def test_a_picture_goes_its_way_over_tls(self, tls_port: int, authority: trustme.CA, tmp_path: Path) -> None:
        # Given a Redis with a password behind TLS, and the certificate of who vouches for it
        certificate = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(str(certificate))
        with running(secure_url(tls_port, f"?ssl_ca_certs={certificate}"), tmp_path / "service") as service:
            service.wait_ready()
            # When pictures are uploaded, Then they are answered
            for _ in range(3):
                picture = make_picture()
                assert service.label_of(picture) == digest_of(picture)

    def test_who_cannot_prove_its_name_is_not_talked_to(self, tls_port: int, tmp_path: Path) -> None:
        # Given a server behind TLS for which nobody vouches
        with running(secure_url(tls_port), tmp_path / "service") as service:
            # Then no connection of the worker is made, not Celery's either
            [worker] = service.workers
            eventually(lambda: "Cannot connect to rediss://" in worker.output, 60, "a refusal by Celery")
            assert "CERTIFICATE_VERIFY_FAILED" in worker.output
            assert "Connected to rediss://" not in worker.output
            # And none of the API
            answer = requests.get(f"{service.url}/health/ready", timeout=10)
            assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
            # And the password stays inside
            assert_no_secret(service.logs + answer.text)


def assert_no_secret(text: str) -> None:
    for password in (PASSWORD, OTHER_PASSWORD):
        for secret in (password, quote(password, safe=""), password[:6]):
            assert secret not in text, text[max(0, text.find(secret) - 500) :][:1000]


class TestSecrets:
    def test_no_log_and_no_answer_holds_the_password(self, secured: RedisServer, tmp_path: Path) -> None:
        # Given a service that logs all it can, over a Redis with a password
        with running(secured.url, tmp_path / "service") as service:
            service.wait_ready()
            picture = make_picture()
            assert service.label_of(picture) == digest_of(picture)
            [worker] = service.workers
            answers = []

            def ask(service: StubService = service, answers: list[str] = answers) -> bool:
                with suppress(requests.ConnectionError):
                    answers.append(service.upload(make_picture(), "picture.png").text)
                return "Redis or the image store does not answer" in (service.api.output if service.api else "")

            # When Redis goes away
            secured.stop()
            eventually(ask, 30, "a word about it by the API")
            eventually(lambda: "Cannot connect to redis://" in worker.output, 60, "a word about it by the worker")
            # And comes back with another password
            secured.set_password(OTHER_PASSWORD)
            secured.start()
            eventually(lambda: ask() and "invalid username-password pair" in service.logs, 60, "a refused password")
            eventually(lambda: "invalid username-password pair" in worker.output, 60, "the same by the worker")
            # Then nobody has told it
            assert_no_secret(service.logs + "".join(answers))

    @pytest.mark.parametrize("module", ["api", "worker", "deploy.local", "worker.health", "shared.jobs.failed"])
    @pytest.mark.parametrize("url", [f"http://:{PASSWORD}@host", f"redis://:{PASSWORD}@host:1/0"])
    def test_a_url_that_cannot_be_read_is_not_repeated(self, tmp_path: Path, module: str, url: str) -> None:
        # When a program is started with a URL that is not written as it must be
        service = Service(url, tmp_path, tmp_path)
        process = service.start_worker(module)
        try:
            # Then it ends with a sentence, without the password in it
            assert process.wait(60) != 0
            assert "REDIS_URL" in process.output
            assert_no_secret(process.output)
        finally:
            service.stop()


class Attack:
    """What runs when it is read as a pickle."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self._folder),)


class TestMessages:
    def test_a_pickle_is_moved_aside_and_logged_and_not_run(self, redis_server: RedisServer, tmp_path: Path) -> None:
        with redis_server.client() as client:
            client.flushall()
        # Given a worker
        with running(redis_server.url, tmp_path / "service") as service:
            service.wait_ready()
            [worker] = service.workers
            # When somebody who can write to Redis sends it a pickle
            folder = tmp_path / "it-was-run"
            app = create_celery(Settings.from_environ({"REDIS_URL": redis_server.url}))
            app.send_task(TASK_NAME, args=[Attack(folder)], queue=QUEUE_NAME, serializer="pickle")
            app.close()
            # Then it is moved aside, with a word in the log
            eventually(lambda: "moved to jobs:foreign" in worker.output, 30, "a word about the pickle")
            # And was not run, and the worker goes on
            picture = make_picture()
            assert service.label_of(picture) == digest_of(picture)
            assert not folder.exists()
