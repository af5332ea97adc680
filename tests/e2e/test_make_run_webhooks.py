"""`make run` sends webhooks when it has a secret."""

from pathlib import Path

import requests

from deploy.local.embedded_redis import free_port
from tests.support.commands import call
from tests.support.make_run import make_run
from tests.support.repository import ROOT
from tests.support.wait import eventually
from tests.support.webhook_receiver import SECRET, WebhookReceiver

PICTURE = (ROOT / "examples" / "traffic_light.png").read_bytes()


def test_make_run_sends_webhooks_and_lists_those_given_up(model_dir: Path, tmp_path: Path) -> None:
    # Given a service with a secret, and a receiver
    port = free_port()
    options = {"WEBHOOK_SECRET": SECRET, "WEBHOOK_ALLOWED_HOSTS": "127.0.0.1", "WEBHOOK_RETRY_SECONDS": "0"}
    with make_run(tmp_path / "log", port, **options) as process, WebhookReceiver() as receiver:

        def upload() -> str:
            where, headers = f"http://127.0.0.1:{port}/upload", {"Content-Type": "image/png"}
            answer = requests.post(where, params={"webhook": receiver.url}, data=PICTURE, headers=headers, timeout=40)
            assert answer.status_code == 200, answer.text
            return answer.headers["Location"].rpartition("/")[2]

        # When a picture is uploaded, and again with a cached result, Then both outcomes arrive
        ids = [upload(), upload()]
        eventually(lambda: len(receiver.arrived) == 2, 20, "both webhooks")
        messages = [receiver.messages[f"msg_{job_id}"] for job_id in ids]
        assert messages[0]["data"]["result"] == messages[1]["data"]["result"]
        # And one that is given up is listed
        receiver.status = 500
        job_id = upload()
        eventually(lambda: "given up" in process.output, 20, "a webhook that is given up")
        assert job_id in call(["make", "undelivered"], {"PORT": str(port)}, 60).stdout
        secret = call(["make", "webhook-secret", "NAME=alice"], {"WEBHOOK_SECRET": SECRET}, 60).stdout
        assert secret.startswith("whsec_")
