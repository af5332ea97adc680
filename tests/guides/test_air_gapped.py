"""The guide for machines without a network, as far as it needs no Docker engine."""

import shutil
import subprocess
import sys
from pathlib import Path

from deploy.local.embedded_redis import free_port
from tests.support.documentation import blocks
from tests.support.make_run import answer_of, curl_line, make_run
from tests.support.repository import ROOT, copy_repository

PAGE = "docs/how-to/air-gapped.md"


def test_a_machine_without_a_network_is_served_by_what_was_carried_over(tmp_path: Path, model_dir: Path) -> None:
    # Given wheels and a model from a machine with a network, as the guide has them made
    made, started = [block.text for block in blocks() if block.page == PAGE and not block.needs_engine]
    assert "pip download --no-deps --require-hashes -r requirements/run.txt -d wheels\n" in made
    assert started == "PIP_NO_INDEX=1 PIP_FIND_LINKS=wheels make run\n"
    clone = tmp_path / "a clone"
    copy_repository(clone)
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    subprocess.run([*download, "-r", "requirements/run.txt", "-d", str(clone / "wheels")], cwd=ROOT, check=True)
    shutil.copytree(model_dir, clone / "models" / model_dir.name)
    # When the service is started where pip asks nobody
    carried = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "wheels", "PYTHON": str(sys._base_executable)}  # type: ignore[attr-defined]
    said = tmp_path / "pip.log"
    try:
        with make_run(tmp_path / "log", free_port(), clone, PIP_LOG=str(said), **carried) as process:
            # Then it answers, and nothing was looked for elsewhere
            assert "traffic light" in answer_of(curl_line(process.output))
            assert "Looking in links: wheels" in said.read_text("utf-8") and "Downloading" not in said.read_text(
                "utf-8"
            )
    finally:
        # Some gigabytes.
        shutil.rmtree(clone)
