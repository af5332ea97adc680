"""The registry of engines: what is known of each, which model files it needs, how it is loaded."""

import hashlib
import os
import subprocess
import sys
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.settings import Settings
from worker.__main__ import main
from worker.inference.engines import ENGINES, EngineEntry, UnknownEngine, find_engine, load_engine, verify_model
from worker.inference.model_folder import Manifest, ModelFolder, ModelFolderError

MODEL = b"a network"


class StubEngine:
    """Notes what it is loaded with and what it runs."""

    def __init__(self, model: Path) -> None:
        self.model = model
        self.shapes: list[tuple[int, ...]] = []

    def logits(self, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        self.shapes.append(pictures.shape)
        return np.zeros((len(pictures), 2), np.float32)


def make_folder(path: Path, *names: str) -> ModelFolder:
    """Return a model folder with these files."""
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(MODEL)
    files = dict.fromkeys(names, hashlib.sha256(MODEL).hexdigest())
    manifest = Manifest(
        format_version=1, name="pets", source="a test", input_height=4, input_width=6, class_count=2, files=files
    )
    return ModelFolder(path, manifest, ("tabby", "espresso"))


def test_the_engine_of_the_defaults_is_registered() -> None:
    assert Settings.from_environ({}).engine in ENGINES


@pytest.mark.parametrize("entry", ENGINES.values(), ids=ENGINES.keys())
def test_every_engine_has_its_module_in_the_folder_of_engines(entry: EngineEntry) -> None:
    assert find_spec(entry.implementation.partition(":")[0])


def test_tensorflow_forms_batches_and_litert_does_not() -> None:
    assert (find_engine("litert").batches, find_engine("tensorflow").batches) == (False, True)


def test_the_registry_imports_no_inference_library() -> None:
    program = (
        "import sys, worker.inference.engines\n"
        "print(sorted({'tensorflow', 'tensorflow_hub', 'ai_edge_litert'} & sys.modules.keys()))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_an_unknown_engine_is_refused_with_the_names_of_those_that_exist() -> None:
    with pytest.raises(UnknownEngine) as refused:
        find_engine("torch")
    known = ", ".join(f"{name} ({entry.device})" for name, entry in ENGINES.items())
    assert str(refused.value) == f"ENGINE='torch': there is no such engine. Use one of these: {known}."


def test_a_worker_with_an_unknown_engine_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a misspelt engine
    monkeypatch.setenv("TOPTHREE_ENGINE", "tensorflov")
    # When a worker is started, Then it ends as with any other unusable setting
    assert main() == 2
    assert "worker: ENGINE='tensorflov': there is no such engine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "file", "other"),
    [("litert", "model.tflite", "saved_model/saved_model.pb"), ("tensorflow", "saved_model/v", "model.tflite")],
)
def test_only_the_files_of_the_engine_are_checked(name: str, file: str, other: str, tmp_path: Path) -> None:
    # Given a model whose files for another engine are damaged
    folder = make_folder(tmp_path, file, other)
    (tmp_path / other).write_bytes(b"something else")
    # When it is checked, Then this engine can use it
    verify_model(name, folder)
    # And not when its own are damaged too
    (tmp_path / file).write_bytes(b"something else")
    with pytest.raises(ModelFolderError, match=f"{file} is damaged"):
        verify_model(name, folder)


def test_a_model_that_was_not_converted_names_the_engine_that_can_run_it(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "saved_model/saved_model.pb")
    with pytest.raises(ModelFolderError, match=r"pets has no model\.tflite, .*: use ENGINE=tensorflow$"):
        verify_model("litert", folder)


def test_a_model_without_files_for_any_engine_is_to_be_made_anew(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="run `make model`"):
        verify_model("litert", make_folder(tmp_path))


def test_an_engine_is_a_class_and_a_line_in_the_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Given a third engine in the registry, and a model with its file
    entry = EngineEntry(f"{__name__}:StubEngine", "model.stub", batches=False, device="CPU")
    monkeypatch.setitem(ENGINES, "stub", entry)
    folder = make_folder(tmp_path, "model.stub")
    # When it is checked and loaded
    verify_model("stub", folder)
    engine = load_engine("stub", folder)
    # Then it has the path of its file, and has been run once
    assert isinstance(engine, StubEngine)
    assert (engine.model, engine.shapes) == (tmp_path / "model.stub", [(1, 4, 6, 3)])


class TalkativeEngine(StubEngine):
    """Writes to standard error as a C++ library does, when it is loaded and at its first run."""

    def __init__(self, model: Path) -> None:
        os.write(2, b"I0000 cpu_feature_guard\n")
        super().__init__(model)

    def logits(self, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        os.write(2, b"W0000 first run\n")
        if self.model.name == "bad.stub":
            raise RuntimeError("out of memory")
        return super().logits(pictures)


@pytest.mark.parametrize(("model", "shown"), [("good.stub", ""), ("bad.stub", "cpu_feature_guard first run")])
def test_what_a_library_writes_is_shown_only_if_loading_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str], model: str, shown: str
) -> None:
    # Given an engine whose library writes to standard error
    entry = EngineEntry(f"{__name__}:TalkativeEngine", model, batches=False, device="CPU")
    monkeypatch.setitem(ENGINES, "talkative", entry)
    # When it is loaded, Then that is shown if it cannot be loaded
    with pytest.raises(RuntimeError) if shown else nullcontext():
        load_engine("talkative", make_folder(tmp_path, model))
    told = capfd.readouterr().err
    assert all(word in told for word in shown.split()) and bool(told) == bool(shown)
