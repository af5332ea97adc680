"""The receivers in docs/how-to/webhooks.md accept what is signed, and nothing else."""

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from deploy.local.embedded_redis import free_port
from shared.webhook_secrets import parse_webhook_secrets
from tests.support.documentation import blocks
from tests.support.needs import node
from tests.support.processes import Process
from tests.support.wait import eventually
from tests.support.webhook_receiver import SECRET
from worker.webhooks.message import signed_headers

PAGE = "docs/how-to/webhooks.md"
BODY = '{"type": "job.succeeded", "data": {"label": "Löwe"}}'.encode()
[KEY] = parse_webhook_secrets(SECRET)
OTHER_KEY = b"o" * 32


def python_receiver() -> str:
    [text] = [found for block in blocks() if block.page == PAGE for found in _heredocs(block.text)]
    return text


def _heredocs(text: str) -> list[str]:
    return re.findall(r"cat > receiver.py <<'END'\n(.*?)\nEND\n", text, re.DOTALL)


def node_receiver() -> str:
    [text] = [block.text for block in blocks() if block.page == PAGE and block.language == "javascript"]
    return text


@pytest.fixture(params=["python", "node"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    python = request.param == "python"
    program, text = (sys.executable, python_receiver()) if python else (node(), node_receiver())
    file, port = tmp_path / ("receiver.py" if python else "receiver.js"), free_port()
    file.write_text(text, "utf-8")
    process = Process([program, str(file)], tmp_path / "log", WEBHOOK_SECRET=SECRET, PORT=str(port))
    url = f"http://127.0.0.1:{port}/hook"
    try:
        eventually(lambda: listens(url), 30, "a receiver that listens")
        yield url
        assert "Löwe" in process.output
    finally:
        process.kill()


def listens(url: str) -> bool:
    try:
        requests.get(url, timeout=5)
    except requests.ConnectionError:
        return False
    return True


def test_the_receivers_of_the_guide_verify_what_they_get(url: str) -> None:
    def post(headers: dict[str, str], body: bytes = BODY) -> int:
        return requests.post(url, data=body, headers=headers, timeout=10).status_code

    now = time.time()
    # A signed message is accepted, also during a rotation
    assert post(signed_headers("msg_1", now, BODY, [KEY])) == 204
    assert post(signed_headers("msg_1", now, BODY, [OTHER_KEY, KEY])) == 204
    # Another secret, body, id or time is not
    assert post(signed_headers("msg_1", now, BODY, [OTHER_KEY])) == 401
    assert post(signed_headers("msg_1", now, BODY, [KEY]), BODY + b" ") == 401
    assert post({**signed_headers("msg_1", now, BODY, [KEY]), "webhook-id": "msg_2"}) == 401
    assert post(signed_headers("msg_1", now - 600, BODY, [KEY])) == 401
