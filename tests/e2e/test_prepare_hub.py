"""`python -m worker.prepare` makes model folders out of what a hub serves, and says what is wrong with a hub."""

import gc
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub_server import HubServer, archive
from tests.support.small_models import save_small_model
from tests.support.wait import eventually
from worker.inference.model_folder import TFLITE, ModelFolder
from worker.prepare import hub as hub_module
from worker.prepare.errors import HubUnreachable, PrepareError
from worker.prepare.preparation import prepare

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

CODE = Path(__file__).parents[2]
PATH = "/google/tf2-preview/mobilenet_v2/classification/4"
NAME = "google-tf2-preview-mobilenet_v2-classification-4"
# A SavedModel folder with real weights, for those who have one.
REAL_MODEL = os.environ.get("TOPTHREE_TEST_MODEL")


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel with as many classes as TF-Hub's ImageNet models have."""
    return save_small_model(tmp_path_factory.mktemp("hub") / "small", 1001)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub that runs, and no settings of the person who runs the tests."""
    monkeypatch.delenv("TFHUB_CACHE_DIR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with HubServer() as server:
        yield server
    # tensorflow_hub leaves its connection to the collector; here its complaint is still let pass.
    gc.collect()


@pytest.mark.parametrize("which", ["small", *(["real"] if REAL_MODEL else [])])
def test_a_hub_model_is_downloaded_once(hub: HubServer, small_model: Path, tmp_path: Path, which: str) -> None:
    # Given a hub that serves a model
    handle = hub.add_model(PATH, small_model if which == "small" else Path(str(REAL_MODEL)))

    # When it is prepared
    folder = ModelFolder.open(prepare(handle, None, tmp_path))

    # Then the folder is whole, names its source and has ImageNet's labels
    folder.verify_all()
    assert folder.path == tmp_path / NAME
    assert (folder.name, folder.manifest.source, len(folder.labels)) == (NAME, handle, 1001)
    assert folder.labels[:2] == ("background", "tench")
    assert folder.verify(TFLITE).stat().st_size > 1000

    # When it is prepared again, then the hub is not asked, not even when the folder has to be made anew
    asked = len(hub.requests)
    assert prepare(handle, None, tmp_path) == folder.path
    (folder.path / TFLITE).unlink()
    assert prepare(handle, None, tmp_path) == folder.path
    assert len(hub.requests) == asked
    assert ModelFolder.open(folder.path).digest == folder.digest


def test_the_command_prints_the_folder_alone_and_asks_the_hub_only_once(
    hub: HubServer, small_model: Path, tmp_path: Path
) -> None:
    # Given a hub, and the command that a person runs
    program = (
        "import os, sys\nfrom worker.prepare.__main__ import main\n"
        "code = main(sys.argv[1:], os.environ)\n"
        "print('tensorflow' in sys.modules, file=sys.stderr)\nsys.exit(code)"
    )
    command = [sys.executable, "-c", program, "--models-dir", str(tmp_path)]
    environ = {**os.environ, "MODEL": hub.add_model(PATH, small_model), "MODEL_LABELS": ""}

    # When it runs twice
    first = subprocess.run(command, cwd=CODE, env=environ, capture_output=True, text=True, check=True)
    asked = len(hub.requests)
    second = subprocess.run(command, cwd=CODE, env=environ, capture_output=True, text=True, check=True)

    # Then it prints the folder both times, shows the download, and does without hub and TensorFlow the second time
    assert first.stdout == second.stdout == f"{tmp_path / NAME}\n"
    assert f"downloading {environ['MODEL']}" in first.stderr
    assert first.stderr.endswith("True\n")
    assert second.stderr == "False\n"
    assert len(hub.requests) == asked


def test_a_model_that_has_moved_is_found_at_its_new_home(hub: HubServer, small_model: Path, tmp_path: Path) -> None:
    # Given a hub that sends its users elsewhere, where the download is somewhere else again
    with HubServer() as home:
        archive_url = home.add_download("/bucket/archive.tar.gz", small_model) + "?signature=abc"
        download = home.add_redirect("/api/v1/models/google/mobilenet-v2/download", archive_url)
        handle = hub.add_redirect(PATH, f"{download}?tf-hub-format=compressed")
        # When the model is prepared, Then it is the one from there, under its old name and handle
        folder = ModelFolder.open(prepare(handle, None, tmp_path))
        assert (folder.name, folder.manifest.source) == (NAME, handle)
        assert home.requests[-2:] == ["/api/v1/models/google/mobilenet-v2/download", "/bucket/archive.tar.gz"]


def test_the_users_own_hub_cache_is_used(
    hub: HubServer, small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    handle = hub.add_model(PATH, small_model)

    prepare(handle, None, tmp_path / "one")
    asked = len(hub.requests)
    prepare(handle, None, tmp_path / "two")

    assert len(hub.requests) == asked
    assert os.environ["TFHUB_CACHE_DIR"] == str(tmp_path / "cache")
    assert not (tmp_path / "one" / ".hub-cache").exists()


def test_a_hub_that_is_away_is_told_from_one_that_lacks_the_model(
    hub: HubServer, small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "SILENCE_SECONDS", 0.5)
    content = archive(small_model)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        away = {
            f"http://127.0.0.1:{unused.getsockname()[1]}/a/1": "cannot be reached",
            "http://nowhere.invalid/a/1": "cannot be reached",
            hub.add_status("/busy/1", 503): "answered 503",
            hub.add_silence("/silent/1"): "did not answer for",
            hub.add_stall("/stalls/1", content): "did not answer for",
            hub.add_half("/half/1", content): "was interrupted",
        }
        lacking = {
            hub.add_status("/missing/1", 404): "answered 404 .*check the handle",
            hub.add_status("/forbidden/1", 403): "answered 403",
            hub.add_bytes("/page/1", b"<html>Sign in to this network</html>"): "not appear to be a valid module",
            "http://127.0.0.1:port/a/1": "is not a URL",
        }
        for handle, complaint in {**away, **lacking}.items():
            with pytest.raises(PrepareError, match=complaint) as caught:
                prepare(handle, None, tmp_path)
            assert isinstance(caught.value, HubUnreachable) == (handle in away), handle

    assert not list(tmp_path.glob("*/model.json"))


def test_a_hub_that_serves_something_else_is_asked_again(hub: HubServer, small_model: Path, tmp_path: Path) -> None:
    # Given a hub whose archive holds no SavedModel, and later a damaged one
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "README").write_text("moved")
    handle = hub.add_model(PATH, tmp_path / "other")
    with pytest.raises(PrepareError, match=r"has no saved_model\.pb"):
        prepare(handle, None, tmp_path / "models", fallback=True)
    (tmp_path / "other" / "saved_model.pb").write_text("moved")
    hub.add_model(PATH, tmp_path / "other")
    with pytest.raises(PrepareError, match="cannot be loaded"):
        prepare(handle, None, tmp_path / "models", fallback=True)

    # When the hub has been mended, then the model is downloaded
    hub.add_model(PATH, small_model)
    ModelFolder.open(prepare(handle, None, tmp_path / "models")).verify_all()


def test_a_killed_download_neither_blocks_nor_spoils_the_next(
    hub: HubServer, small_model: Path, tmp_path: Path
) -> None:
    # Given a preparation that is killed in the middle of its download
    content = archive(small_model)
    handle = hub.add_stall(PATH, content)
    command = [sys.executable, "-m", "worker.prepare", "--model", handle, "--models-dir", str(tmp_path)]
    with subprocess.Popen(command, cwd=CODE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: list(tmp_path.glob(".hub-cache/*.lock")) and len(hub.requests) == 2, 60, "the download")
        finally:
            process.kill()
    assert not (tmp_path / NAME).exists()

    # When it is started again, it does not wait for the dead one
    hub.add_bytes(PATH, content)
    found: list[Path] = []
    again = threading.Thread(target=lambda: found.append(prepare(handle, None, tmp_path)), daemon=True)
    again.start()
    again.join(timeout=60)

    # And leaves nothing of it
    assert found == [tmp_path / NAME]
    ModelFolder.open(found[0]).verify_all()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".{NAME}.lock", ".hub-cache", NAME]
