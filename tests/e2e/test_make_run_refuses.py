"""`make run`, `stop`, `status` and `failed` where they cannot do their work: a sentence, and no traceback."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.embedded_redis import free_port
from deploy.local.instance import Instance
from tests.support.commands import call
from tests.support.make_run import settings
from tests.support.needs import skip_outside_ci
from tests.support.repository import ROOT, copy_repository

# In a view of the file system of its own.
MOUNT = ["unshare", "--map-root-user", "--mount", "bash", "-ec"]


def refusal(target: str, code: int = 2, cwd: Path = ROOT, **environ: str) -> str:
    """Return what `make` says that fails."""
    done = call(["make", target], {"MODEL": "efficientnet_lite0", **environ}, 60, cwd)
    assert done.returncode == code and "Traceback" not in done.stdout, done.stdout
    return done.stdout


@pytest.fixture
def port() -> Iterator[int]:
    port = free_port()
    yield port
    shutil.rmtree(Instance(port).folder, ignore_errors=True)


def test_an_address_that_cannot_be_listened_on_is_told(port: int) -> None:
    conda = refusal("run", PORT=str(port), HOST="x86_64-conda-linux-gnu")
    assert "HOST=x86_64-conda-linux-gnu cannot be resolved" in conda
    elsewhere = refusal("run", PORT=str(port), HOST="192.0.2.1")
    assert "HOST=192.0.2.1 is not an address of this machine" in elsewhere


def test_an_unknown_engine_is_told_before_anything_is_prepared(port: int) -> None:
    told = refusal("run", PORT=str(port), ENGINE="tensorflov")
    assert "ENGINE='tensorflov'" in told and "litert (CPU), tensorflow (GPU, CPU)" in told
    assert "serving" not in told


def test_a_precision_that_the_engine_lacks_is_told_before_anything_is_prepared(port: int) -> None:
    told = refusal("run", PORT=str(port), PRECISION="int8", ENGINE="tensorflow", CALIBRATION_IMAGES="photographs")
    assert "PRECISION=int8 needs ENGINE=litert, not ENGINE=tensorflow" in told
    told = refusal("run", PORT=str(port), PRECISION="int16")
    assert "PRECISION='int16': there is no such precision. Use float32 or int8." in told


def test_a_port_that_a_stranger_has_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        assert f"port {port} is taken. Stop what uses it" in refusal("run", PORT=str(port))
        shutil.rmtree(Instance(port).folder)


@pytest.mark.parametrize("output", ["> /dev/full 2>&1", ">&- 2>&-", "2>&1 | true"])
def test_it_ends_with_its_exit_code_where_nothing_can_be_printed(port: int, output: str) -> None:
    command = f'"$0" -m deploy.local {output}; exit ${{PIPESTATUS[0]}}'
    done = call(["bash", "-c", command, f"{ROOT}/.venv/bin/python"], {"PORT": str(port), "HOST": "192.0.2.1"}, 60)
    assert done.returncode == 1


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> Path:
    """A checkout that has been set up."""
    folder = tmp_path_factory.mktemp("clone of") / "top three"
    copy_repository(folder)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (folder / "models").symlink_to(model_dir.parent)
    (folder / "var").mkdir()
    return folder


@pytest.mark.parametrize(
    ("mount", "reason"),
    [
        ("mount --bind . . && mount -o remount,bind,ro . && cd .", "Read-only file system"),
        ("mount -t tmpfs -o size=64k none var && ! head -c 1M /dev/zero > var/filler", "No space left on device"),
    ],
)
def test_a_checkout_that_cannot_be_written_is_told(clone: Path, mount: str, reason: str) -> None:
    if call([*MOUNT, "true"], {}, 10).returncode:
        skip_outside_ci("needs the right to mount file systems: root, or user namespaces")
    done = call([*MOUNT, f'{mount}; cd "$PWD"; exec make run'], settings(free_port()), 60, clone)
    assert done.returncode == 2 and "Traceback" not in done.stdout, done.stdout
    assert "make run: " in done.stdout and f"cannot be written: {reason}" in done.stdout, done.stdout


def test_a_var_that_is_no_folder_is_told(clone: Path) -> None:
    (clone / "var").rmdir()
    (clone / "var").touch()
    try:
        assert "cannot be written" in refusal("run", cwd=clone, PORT=str(free_port()))
    finally:
        (clone / "var").unlink()
        (clone / "var").mkdir()


def test_failed_jobs_of_no_service_are_a_sentence(port: int) -> None:
    # Given no service, nor anything of an earlier one
    assert f"no `make run` of this checkout is running on port {port}" in refusal("failed", PORT=str(port))
    # And given what one that was killed has left
    instance = Instance(port)
    instance.folder.mkdir(parents=True)
    instance.redis_url_file.write_text(f"redis://:x@127.0.0.1:{free_port()}/0\n", "utf-8")
    instance.settings_file.write_text("{}", "utf-8")
    assert f"no `make run` of this checkout is running on port {port}" in refusal("failed", PORT=str(port))
    # And one whose Redis does not answer
    lock = instance.claim()
    try:
        assert "Redis does not answer" in refusal("failed", PORT=str(port))
    finally:
        os.close(lock)


def test_nothing_to_stop_is_a_sentence(port: int) -> None:
    done = call(["make", "stop"], {"PORT": str(port)}, 60)
    assert done.returncode == 0
    assert f"no `make run` of this checkout is running on port {port}" in done.stdout
    assert "PORT='x'" in refusal("stop", PORT="x")


def test_no_status_is_a_sentence(port: int) -> None:
    assert f"no `make run` of this checkout is running on port {port}" in refusal("status", PORT=str(port))
    assert "PORT='x'" in refusal("status", PORT="x")
    # And given one that does not answer yet
    lock = Instance(port).claim()
    try:
        assert f"http://127.0.0.1:{port}" in refusal("status", PORT=str(port))
    finally:
        os.close(lock)
