"""Why the service cannot listen on its address, and the URLs of addresses."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.address import find_flaw
from deploy.local.embedded_redis import free_port
from shared.this_machine import local_url, url_of
from tests.support.repository import ROOT

UNPRIVILEGED_PORTS = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
NOBODY = 65534


def test_a_free_address_has_no_flaw() -> None:
    assert find_flaw("127.0.0.1", free_port()) is None
    assert find_flaw("localhost", free_port()) is None


def test_a_port_that_is_chosen_cannot_be_given_to_an_outgoing_connection() -> None:
    # Linux gives those ports from 32768, others from 49152
    assert all(1024 < free_port() < 32768 for _ in range(50))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_that_somebody_listens_on_is_taken(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} is taken" in (find_flaw(host, port) or "")


@pytest.mark.parametrize("host", ["x86_64-conda-linux-gnu", "[::1]", "a" * 70, "no such host"])
def test_a_host_that_cannot_be_resolved_is_told(host: str) -> None:
    flaw = find_flaw(host, free_port()) or ""
    assert f"HOST={host} cannot be resolved" in flaw and "HOST=127.0.0.1 make run" in flaw
    assert ("conda" in flaw) == ("conda" in host)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_an_address_of_another_machine_is_told(host: str) -> None:
    assert f"HOST={host} is not an address of this machine" in (find_flaw(host, free_port()) or "")


def test_a_port_for_root_only_is_told() -> None:
    # Given somebody without rights
    become = f"os.setuid({NOBODY})" if os.geteuid() == 0 else "pass"
    # The first call loads what nobody else may read.
    calls = f"find_flaw('127.0.0.1', 0); {become}; print(find_flaw('127.0.0.1', 80))"
    program = f"import os; from deploy.local.address import find_flaw; {calls}"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    # Then it is not said that the port is taken; in a container everybody may listen there
    everybody_may = UNPRIVILEGED_PORTS.exists() and int(UNPRIVILEGED_PORTS.read_text("ascii")) <= 80
    assert ("may not listen on port 80" in done.stdout) != everybody_may
    assert "taken" not in done.stdout


def test_urls_have_the_brackets_of_ipv6() -> None:
    assert url_of("127.0.0.1", 5000) == "http://127.0.0.1:5000"
    assert url_of("::1", 5000) == "http://[::1]:5000"
    # And what listens everywhere is reached on this machine
    assert local_url("0.0.0.0", 5000) == "http://127.0.0.1:5000"
    assert local_url("::", 5000) == "http://[::1]:5000"
