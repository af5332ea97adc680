"""Requests of the service to itself: no proxy, and any address."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.embedded_redis import free_port
from tests.support.command_line import topthree
from tests.support.commands import call
from tests.support.make_run import curl_line, make_run
from tests.support.processes import Service
from tests.support.repository import ROOT

# Nobody listens there.
PROXY = "http://127.0.0.1:9"
PROXIES = dict.fromkeys(("http_proxy", "HTTP_PROXY", "ALL_PROXY"), PROXY) | {"no_proxy": "", "NO_PROXY": ""}


def test_it_gets_ready_and_is_used_though_there_is_a_proxy(tmp_path: Path, model_dir: Path) -> None:
    # Given a machine with a proxy, and a service on an IPv6 address
    port = free_port()
    with make_run(tmp_path / "log", port, HOST="::1", **PROXIES) as process:
        # Then it says that it is ready, on a URL that works
        assert f"Ready on http://[::1]:{port}" in process.output, process.output
        assert f"serving on http://[::1]:{port}" in process.output
        done = call(curl_line(process.output), PROXIES, 60)
        assert '"predicted_label":"traffic light"' in done.stdout
        # And so says the command line
        asked = topthree("status", "--url", f"http://[::1]:{port}", **PROXIES)
        assert asked.returncode == 0, asked.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_health_check_of_the_image_asks_the_api_directly(service: Service, host: str) -> None:
    # Given the health check of the API's image
    text = (ROOT / "api" / "Dockerfile").read_text("utf-8")
    found = re.search(r"^HEALTHCHECK .*? CMD (\[.*\])$", text, re.MULTILINE)
    assert found
    command = [sys.executable if word == "python" else word for word in json.loads(found[1])]
    # When it is run in a container with a proxy, Then the API is healthy
    done = call(command, {**PROXIES, "HOST": host, "PORT": str(service.port)}, 30)
    assert (done.returncode, done.stdout) == (0, "")
    # And one that is not there is not
    done = call(command, {"HOST": host, "PORT": str(free_port())}, 30)
    assert done.returncode == 1 and "Traceback" not in done.stdout
    assert "the API does not answer" in done.stdout


def test_a_health_check_with_a_bad_setting_is_a_sentence() -> None:
    for module in ("api.health", "worker.health"):
        done = subprocess.run(
            [sys.executable, "-m", module], cwd=ROOT, env={"PORT": "x"}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1 and "PORT='x'" in done.stderr and "Traceback" not in done.stderr
