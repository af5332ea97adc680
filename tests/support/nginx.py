"""A real nginx on the loopback address, with a configuration of the documentation."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from deploy.local.embedded_redis import free_port
from tests.support.needs import skip_outside_ci
from tests.support.processes import Process
from tests.support.wait import eventually

# One process, which runs as the user of the tests, with all its files in one folder.
MAIN = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {servers}
}}
"""


@contextmanager
def nginx(folder: Path, servers: str) -> Iterator[str]:
    """Run nginx with the blocks `servers`, of which one listens on port 80; yields the URL, with a free port."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if not program:
        skip_outside_ci("needs nginx (Debian: apt-get install nginx-light)")
    folder.mkdir()
    port = free_port()
    servers = servers.replace("listen 80;", f"listen 127.0.0.1:{port};")
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, servers=servers), "utf-8")
    process = Process([program, "-p", str(folder), "-e", "error.log", "-c", "nginx.conf"], folder / "output")
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: _answers(url), what=f"nginx, which says: {process.output}")
        yield url
    finally:
        process.stop()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code > 0
    except requests.ConnectionError:
        return False
