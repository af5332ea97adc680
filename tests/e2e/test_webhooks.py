"""Webhooks from an upload to a receiver that verifies them, with real processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from shared.api_keys import digest_of as digest_of_key
from tests.support.processes import Process, RedisServer
from tests.support.repository import ROOT
from tests.support.stub_worker import make_picture
from tests.support.supervised import StubService
from tests.support.wait import eventually
from tests.support.webhook_receiver import SECRET, WebhookReceiver

ASYNC = {"Prefer": "respond-async"}
SETTINGS = {"WEBHOOK_SECRET": SECRET, "WEBHOOK_ALLOWED_HOSTS": "127.0.0.1", "WORKERS": "1"}


def webhooks(server: RedisServer, folder: Path, **settings: str) -> Process:
    command = [sys.executable, "-m", "worker.webhooks"]
    return Process(command, folder / "webhooks.log", REDIS_URL=server.url, **{**SETTINGS, **settings})


def printed(server: RedisServer, *arguments: str, **settings: str) -> str:
    command = [sys.executable, "-m", "worker.webhooks", *arguments]
    environ = {**os.environ, "REDIS_URL": server.url, **SETTINGS, **settings}
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def service(server: RedisServer, tmp_path: Path) -> Iterator[StubService]:
    key = digest_of_key("alices key")
    service = StubService(server.url, tmp_path / "service", **SETTINGS, API_KEYS=f"alice:{key}")
    service.start_api()
    yield service
    service.stop()


def upload(service: StubService, receiver: WebhookReceiver, picture: bytes) -> str:
    """Upload with a webhook and Alice's key; return the job's id."""
    where, headers = f"{service.url}/upload", {**ASYNC, "X-API-Key": "alices key"}
    answer = requests.post(where, params={"webhook": receiver.url}, data=picture, headers=headers, timeout=30)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def test_a_receiver_gets_what_the_client_reads(service: StubService, server: RedisServer, tmp_path: Path) -> None:
    # Given a receiver with the secret of Alice's key, and a process that sends
    secret = printed(server, "--secret", "alice").strip()
    assert secret.startswith("whsec_") and secret != SECRET
    sender = webhooks(server, tmp_path)
    try:
        with WebhookReceiver(secret) as receiver:
            service.start_worker()
            # When she uploads pictures, one of which fails
            ids = [upload(service, receiver, make_picture())]
            ids.append(upload(service, receiver, make_picture("raise")))
            # Then each outcome arrives once, and is what she reads
            eventually(lambda: len(receiver.arrived) == 2, 60, "both webhooks")
            for job_id in ids:
                message = receiver.messages[f"msg_{job_id}"]
                answer = service.result(job_id, headers={"X-API-Key": "alices key"}).json()
                assert message["data"] == answer
                assert message["type"] == f"job.{answer['status']}"
            assert {message["type"] for message in receiver.messages.values()} == {"job.succeeded", "job.failed"}
            assert (set(receiver.arrived.values()), receiver.flaws) == ({1}, [])
        # And the sender ends when it is told to
        assert sender.stop() == 0
    finally:
        sender.kill()


def test_what_is_given_up_is_listed(service: StubService, server: RedisServer, tmp_path: Path) -> None:
    # Given a receiver that fails, and no time to repeat
    sender = webhooks(server, tmp_path, WEBHOOK_RETRY_SECONDS="0")
    try:
        with WebhookReceiver(printed(server, "--secret", "alice").strip(), status=500) as receiver:
            job_id = upload(service, receiver, make_picture())
            requests.delete(f"{service.url}/result/{job_id}", headers={"X-API-Key": "alices key"}, timeout=10)
            eventually(lambda: "given up" in sender.output, 30, "a webhook that is given up")
            assert receiver.attempts == 1
    finally:
        sender.kill()
    # Then the list has it, with the reason
    listed = printed(server, "--given-up")
    assert job_id in listed and "it answered 500" in listed and "1 webhooks were given up" in listed


def test_without_a_secret_the_process_waits(server: RedisServer, tmp_path: Path) -> None:
    sender = webhooks(server, tmp_path, WEBHOOK_SECRET="")
    try:
        eventually(lambda: "webhooks are off" in sender.output, 30, "a sentence")
        assert sender.running
        assert sender.stop() == 0
    finally:
        sender.kill()


def test_a_bad_secret_is_a_sentence(server: RedisServer, tmp_path: Path) -> None:
    sender = webhooks(server, tmp_path, WEBHOOK_SECRET="whsec_x")
    assert sender.wait(30) == 2
    assert "WEBHOOK_SECRET: secret 1 is not whsec_" in sender.output and "Traceback" not in sender.output
